/** The environment that every function gets, as the end of topology.ts and functions/env.ts name it. */
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { CfnSecret } from 'aws-cdk-lib/aws-secretsmanager';
import {
  type BucketName,
  envName,
  type SecretName,
  TASK_FAMILY,
  type TableName,
  type WebSocketApiName,
} from '../topology.ts';
import type { ByName } from './by-name.ts';
import type { Network } from './network.ts';
import type { RunnerTasks } from './runner-tasks.ts';
import type { TableResource } from './tables.ts';

export interface EnvironmentParts {
  readonly tables: ByName<TableName, TableResource>;
  readonly buckets: ByName<BucketName, Bucket>;
  readonly secrets: ByName<SecretName, CfnSecret>;
  readonly managementEndpoints: ByName<WebSocketApiName, string>;
  readonly runnerTasks: RunnerTasks;
  readonly network: Network;
  readonly publicUrl: string;
  readonly version: string;
  readonly operatorTenant: string | undefined;
  readonly warmPoolSize: number;
  readonly runnerImage: string | undefined;
}

const named = <Name extends string, Value>(
  kind: Parameters<typeof envName>[0],
  values: ByName<Name, Value>,
  physical: (value: Value) => string,
): Record<string, string> =>
  Object.fromEntries(values.entries().map(([name, value]) => [envName(kind, name), physical(value)]));

export const functionEnvironment = (parts: EnvironmentParts): Readonly<Record<string, string>> => ({
  ...named('TABLE', parts.tables, ({ resource }) => resource.ref),
  ...named('BUCKET', parts.buckets, ({ bucketName }) => bucketName),
  ...named('SECRET', parts.secrets, ({ ref }) => ref),
  ...named('MANAGEMENT_ENDPOINT', parts.managementEndpoints, (url) => url),
  CLUSTER: parts.runnerTasks.clusterName,
  TASK_CONTAINER: TASK_FAMILY.container,
  TASK_SUBNETS: parts.network.subnetIds.join(','),
  TASK_SECURITY_GROUPS: parts.network.securityGroupId,
  PUBLIC_URL: parts.publicUrl,
  ALLOWED_ORIGINS: parts.publicUrl,
  REQUIRE_ORIGIN_SECRET: 'true',
  ...(parts.operatorTenant === undefined ? {} : { OPERATOR_TENANT: parts.operatorTenant }),
  WARM_POOL_SIZE: String(parts.warmPoolSize),
  ...(parts.runnerImage === undefined ? {} : { RUNNER_IMAGE: parts.runnerImage }),
  VILLAGE_VERSION: parts.version,
  LOG_LEVEL: 'INFO',
  NODE_OPTIONS: '--enable-source-maps',
});
