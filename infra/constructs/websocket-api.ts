/** One WebSocket API of the topology: authorized once, when the connection opens. */
import { Stack } from 'aws-cdk-lib';
import {
  CfnApi,
  CfnAuthorizer,
  CfnIntegration,
  CfnRoute,
  CfnRouteResponse,
  CfnStage,
} from 'aws-cdk-lib/aws-apigatewayv2';
import { CfnPermission, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import type { FunctionName, WebSocketApiSpec, WebSocketRoute } from '../topology.ts';
import { accessLog, type GatewayLogAccess, WEBSOCKET_LOG_FORMAT } from './api-access-log.ts';
import { ByName } from './by-name.ts';
import { invocationUri } from './control-functions.ts';
import { type ConnectionArns, connectionArnsOf } from './grants.ts';
import { pascal } from './logical-id.ts';

/** The edge rewrites a WebSocket's path to this stage's root. */
export const WEBSOCKET_STAGE = 'live';

const ROUTE_IDS = { $connect: 'Connect', $disconnect: 'Disconnect', $default: 'Default' } as const;

export class WebSocketApi extends Construct {
  readonly apiId: string;
  readonly domainName: string;
  readonly managementEndpoint: string;
  readonly connectionArns: ConnectionArns;
  readonly #spec: WebSocketApiSpec;
  readonly #integrations = new ByName<FunctionName, CfnIntegration>('WebSocket integration');

  constructor(scope: Construct, spec: WebSocketApiSpec, logAccess: GatewayLogAccess) {
    super(scope, `${pascal(spec.name)}Socket`);
    const stack = Stack.of(this);
    this.#spec = spec;
    const api = new CfnApi(this, 'Api', {
      name: `${stack.stackName}-${spec.name}`,
      protocolType: 'WEBSOCKET',
      routeSelectionExpression: spec.routeSelectionExpression,
    });
    this.apiId = api.ref;
    this.domainName = `${this.apiId}.execute-api.${stack.region}.${stack.urlSuffix}`;
    this.managementEndpoint = `https://${this.domainName}/${WEBSOCKET_STAGE}`;
    this.connectionArns = connectionArnsOf(stack, this.apiId, WEBSOCKET_STAGE);
    const stage = new CfnStage(this, 'Stage', {
      apiId: this.apiId,
      stageName: WEBSOCKET_STAGE,
      autoDeploy: true,
      defaultRouteSettings: {
        throttlingRateLimit: spec.throttle.ratePerSecond,
        throttlingBurstLimit: spec.throttle.burst,
        detailedMetricsEnabled: true,
        /** Execution logs would hold headers and frames. */
        loggingLevel: 'OFF',
        dataTraceEnabled: false,
      },
      accessLogSettings: accessLog(this, WEBSOCKET_LOG_FORMAT),
    });
    stage.node.addDependency(logAccess);
  }

  addRoutes(functions: ByName<FunctionName, LambdaFunction>): void {
    const authorizer = this.#authorizer(functions.get(this.#spec.authorizer));
    for (const name of new Set(this.#spec.routes.map((route) => route.function)))
      this.#integrations.add(
        name,
        new CfnIntegration(this, `${pascal(name)}Integration`, {
          apiId: this.apiId,
          integrationType: 'AWS_PROXY',
          integrationUri: invocationUri(this, functions.get(name)),
        }),
      );
    for (const route of this.#spec.routes) {
      this.#route(route, authorizer);
      this.#permit(
        `${ROUTE_IDS[route.key]}Permission`,
        functions.get(route.function),
        `${WEBSOCKET_STAGE}/${route.key}`,
      );
    }
  }

  #permit(id: string, lambda: LambdaFunction, path: string): void {
    new CfnPermission(this, id, {
      action: 'lambda:InvokeFunction',
      functionName: lambda.functionArn,
      principal: 'apigateway.amazonaws.com',
      sourceArn: Stack.of(this).formatArn({ service: 'execute-api', resource: this.apiId, resourceName: path }),
    });
  }

  #authorizer(lambda: LambdaFunction): CfnAuthorizer {
    const authorizer = new CfnAuthorizer(this, 'Authorizer', {
      apiId: this.apiId,
      name: this.#spec.authorizer,
      authorizerType: 'REQUEST',
      authorizerUri: invocationUri(this, lambda),
      identitySource: [this.#spec.identitySource],
    });
    this.#permit('AuthorizerPermission', lambda, `authorizers/${authorizer.ref}`);
    return authorizer;
  }

  #route({ key, function: target, routeResponse }: WebSocketRoute, authorizer: CfnAuthorizer): void {
    const connects = key === '$connect';
    const route = new CfnRoute(this, ROUTE_IDS[key], {
      apiId: this.apiId,
      routeKey: key,
      target: `integrations/${this.#integrations.get(target).ref}`,
      ...(connects ? { authorizationType: 'CUSTOM', authorizerId: authorizer.ref } : { authorizationType: 'NONE' }),
      ...(routeResponse ? { routeResponseSelectionExpression: '$default' } : {}),
    });
    if (routeResponse)
      new CfnRouteResponse(this, `${ROUTE_IDS[key]}Response`, {
        apiId: this.apiId,
        routeId: route.ref,
        routeResponseKey: '$default',
      });
    if (!connects)
      acknowledge(
        route,
        'AwsSolutions-APIG4',
        'A WebSocket is authorized when it connects; API Gateway takes no authorizer on later routes.',
      );
  }
}
