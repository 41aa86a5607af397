/** Access logs of APIs: who called what and how it ended. No header, no query and no body, since those carry tickets and tokens. */
import { CfnAccount } from 'aws-cdk-lib/aws-apigateway';
import type { CfnStage } from 'aws-cdk-lib/aws-apigatewayv2';
import { ManagedPolicy, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import { logGroup } from './retention.ts';

const COMMON = {
  requestId: '$context.requestId',
  at: '$context.requestTime',
  ip: '$context.identity.sourceIp',
  route: '$context.routeKey',
  status: '$context.status',
  authorizerError: '$context.authorizer.error',
  integrationStatus: '$context.integrationStatus',
} as const;

export const HTTP_LOG_FORMAT = JSON.stringify({
  ...COMMON,
  latencyMs: '$context.responseLatency',
  integrationError: '$context.integrationErrorMessage',
});
export const WEBSOCKET_LOG_FORMAT = JSON.stringify({
  ...COMMON,
  event: '$context.eventType',
  connectionId: '$context.connectionId',
});

export const accessLog = (scope: Construct, format: string): CfnStage.AccessLogSettingsProperty => ({
  destinationArn: logGroup(scope, 'AccessLogs').logGroupArn,
  format,
});

/** WebSocket stages log through a role of the account and region, of which there is one; without it their deployment fails. */
export class GatewayLogAccess extends Construct {
  readonly account: CfnAccount;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const role = new Role(this, 'Role', {
      description: 'API Gateway: writes the access logs of WebSocket APIs',
      assumedBy: new ServicePrincipal('apigateway.amazonaws.com'),
      managedPolicies: [ManagedPolicy.fromAwsManagedPolicyName('service-role/AmazonAPIGatewayPushToCloudWatchLogs')],
    });
    acknowledge(
      role,
      'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]',
      'API Gateway refuses a role that may do less than this policy of its own.',
    );
    this.account = new CfnAccount(this, 'Account', { cloudWatchRoleArn: role.roleArn });
    this.account.node.addDependency(role);
  }
}
