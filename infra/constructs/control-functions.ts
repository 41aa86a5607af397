/** The topology's functions, each with a role that holds its own grants and nothing else. */
import { fileURLToPath } from 'node:url';
import { Duration, Stack } from 'aws-cdk-lib';
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  Architecture,
  type Function as LambdaFunction,
  LoggingFormat,
  Runtime,
  SystemLogLevel,
  Tracing,
} from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction, OutputFormat, SourceMapMode } from 'aws-cdk-lib/aws-lambda-nodejs';
import type { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { acknowledgeWildcard } from '../acknowledge.ts';
import { BUNDLE_BANNER, BUNDLE_TARGET } from '../bundle.ts';
import type { FunctionName, FunctionSpec } from '../topology.ts';
import { ByName } from './by-name.ts';
import { type GrantTargets, permissionFor } from './grants.ts';
import { pascal } from './logical-id.ts';
import { logGroup } from './retention.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** The managed basic policy lets a function write every log of the account: this role writes its own. */
const functionRole = (scope: Construct, spec: FunctionSpec, logs: LogGroup, targets: GrantTargets): Role => {
  const role = new Role(scope, 'Role', {
    description: `Agent Village function ${spec.name}`,
    assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
  });
  role.addToPolicy(
    new PolicyStatement({ actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [logs.logGroupArn] }),
  );
  role.addToPolicy(
    new PolicyStatement({
      effect: Effect.ALLOW,
      actions: ['xray:PutTelemetryRecords', 'xray:PutTraceSegments'],
      resources: ['*'],
    }),
  );
  acknowledgeWildcard(role, { resource: '*', reason: 'X-Ray takes segments without a resource to name.' });
  for (const grant of spec.grants) {
    const { statements, wildcards } = permissionFor(grant, targets);
    for (const statement of statements) role.addToPolicy(statement);
    for (const wildcard of wildcards) acknowledgeWildcard(role, wildcard);
  }
  return role;
};

class ControlFunction extends Construct {
  readonly lambda: LambdaFunction;

  constructor(
    scope: Construct,
    spec: FunctionSpec,
    environment: Readonly<Record<string, string>>,
    targets: GrantTargets,
  ) {
    super(scope, pascal(spec.name));
    const logs = logGroup(this, 'Logs');
    this.lambda = new NodejsFunction(this, 'Function', {
      description: `Agent Village: ${spec.name}`,
      entry: `${ROOT}${spec.entry}`,
      handler: 'handler',
      projectRoot: ROOT,
      depsLockFilePath: `${ROOT}package-lock.json`,
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      memorySize: spec.memoryMb,
      timeout: Duration.millis(spec.timeoutMs),
      ...(spec.reservedConcurrency === undefined ? {} : { reservedConcurrentExecutions: spec.reservedConcurrency }),
      role: functionRole(this, spec, logs, targets),
      environment: { ...environment, POWERTOOLS_SERVICE_NAME: spec.name },
      tracing: spec.begins === 'traces' ? Tracing.ACTIVE : Tracing.PASS_THROUGH,
      logGroup: logs,
      loggingFormat: LoggingFormat.JSON,
      /** START, END and REPORT of each of millions of frames would cost more than the frames' own work; metrics say the same. */
      systemLogLevelV2: SystemLogLevel.WARN,
      bundling: {
        format: OutputFormat.ESM,
        target: BUNDLE_TARGET,
        banner: BUNDLE_BANNER,
        minify: true,
        sourceMap: true,
        sourceMapMode: SourceMapMode.DEFAULT,
        sourcesContent: false,
        /** The SDK goes into the bundle: its version is ours, and one file loads faster than a folder. */
        externalModules: [],
      },
    });
  }
}

export class ControlFunctions extends Construct {
  readonly all = new ByName<FunctionName, LambdaFunction>('function');

  constructor(
    scope: Construct,
    id: string,
    specs: readonly FunctionSpec[],
    environment: Readonly<Record<string, string>>,
    targets: GrantTargets,
  ) {
    super(scope, id);
    for (const spec of specs) this.all.add(spec.name, new ControlFunction(this, spec, environment, targets).lambda);
  }
}

/** `lambda:InvokeFunction` path that API Gateway calls for an integration or authorizer. */
export const invocationUri = (scope: Construct, lambda: LambdaFunction): string =>
  Stack.of(scope).formatArn({
    service: 'apigateway',
    account: 'lambda',
    resource: `path/2015-03-31/functions/${lambda.functionArn}/invocations`,
  });
