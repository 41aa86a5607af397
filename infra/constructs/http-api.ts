/** The HTTP API: the topology's routes, each behind its authorizer. */
import { Stack } from 'aws-cdk-lib';
import { CfnApi, CfnAuthorizer, CfnIntegration, CfnRoute, CfnStage } from 'aws-cdk-lib/aws-apigatewayv2';
import { CfnPermission, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { type AuthorizerName, type FunctionName, HTTP_API_THROTTLE, type HttpRoute } from '../topology.ts';
import { accessLog, HTTP_LOG_FORMAT } from './api-access-log.ts';
import { ByName } from './by-name.ts';
import { invocationUri } from './control-functions.ts';
import { pascal } from './logical-id.ts';

const PAYLOAD_FORMAT = '2.0';

export class HttpApi extends Construct {
  readonly apiId: string;
  /** Host only: CloudFront's origin. */
  readonly domainName: string;
  readonly #api: CfnApi;
  readonly #integrations = new ByName<FunctionName, CfnIntegration>('HTTP integration');
  readonly #authorizers = new ByName<AuthorizerName, CfnAuthorizer>('HTTP authorizer');

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const stack = Stack.of(this);
    this.#api = new CfnApi(this, 'Api', { name: `${stack.stackName}-http`, protocolType: 'HTTP' });
    this.apiId = this.#api.ref;
    this.domainName = `${this.apiId}.execute-api.${stack.region}.${stack.urlSuffix}`;
    new CfnStage(this, 'Stage', {
      apiId: this.apiId,
      stageName: '$default',
      autoDeploy: true,
      defaultRouteSettings: {
        throttlingRateLimit: HTTP_API_THROTTLE.ratePerSecond,
        throttlingBurstLimit: HTTP_API_THROTTLE.burst,
        detailedMetricsEnabled: true,
      },
      accessLogSettings: accessLog(this, HTTP_LOG_FORMAT),
    });
  }

  /** Apart from the constructor: functions need the API's address before routes need the functions. */
  addRoutes(routes: readonly HttpRoute[], functions: ByName<FunctionName, LambdaFunction>): void {
    for (const name of new Set(routes.map((route) => route.function))) this.#integrate(name, functions.get(name));
    for (const name of new Set(routes.map(({ authorizer }) => authorizer)))
      if (name !== null) this.#authorize(name, functions.get(name));
    for (const route of routes) this.#route(route);
  }

  #permit(id: string, lambda: LambdaFunction, path: string): void {
    new CfnPermission(this, `${id}Permission`, {
      action: 'lambda:InvokeFunction',
      functionName: lambda.functionArn,
      principal: 'apigateway.amazonaws.com',
      sourceArn: Stack.of(this).formatArn({ service: 'execute-api', resource: this.apiId, resourceName: path }),
    });
  }

  #integrate(name: FunctionName, lambda: LambdaFunction): void {
    const integration = new CfnIntegration(this, `${pascal(name)}Integration`, {
      apiId: this.apiId,
      integrationType: 'AWS_PROXY',
      integrationUri: invocationUri(this, lambda),
      payloadFormatVersion: PAYLOAD_FORMAT,
    });
    this.#integrations.add(name, integration);
    this.#permit(pascal(name), lambda, '*/*/api/*');
  }

  #authorize(name: AuthorizerName, lambda: LambdaFunction): void {
    const authorizer = new CfnAuthorizer(this, `${pascal(name)}Authorizer`, {
      apiId: this.apiId,
      name,
      authorizerType: 'REQUEST',
      authorizerUri: invocationUri(this, lambda),
      authorizerPayloadFormatVersion: PAYLOAD_FORMAT,
      enableSimpleResponses: true,
      /** The credential is a cookie or a bearer, and a cache needs one named source: so it is asked each time. */
      authorizerResultTtlInSeconds: 0,
    });
    this.#authorizers.add(name, authorizer);
    this.#permit(pascal(name), lambda, `authorizers/${authorizer.ref}`);
  }

  #route({ method, path, function: target, authorizer }: HttpRoute): void {
    const route = new CfnRoute(this, `${pascal(method.toLowerCase())}${pascal(path)}`, {
      apiId: this.apiId,
      routeKey: `${method} ${path}`,
      target: `integrations/${this.#integrations.get(target).ref}`,
      ...(authorizer === null
        ? { authorizationType: 'NONE' }
        : { authorizationType: 'CUSTOM', authorizerId: this.#authorizers.get(authorizer).ref }),
    });
    if (authorizer === null)
      acknowledge(
        route,
        'AwsSolutions-APIG4',
        'The handler itself checks what it needs: a sign-in code, the capability of a runner, nothing for health and sign-out.',
      );
  }
}
