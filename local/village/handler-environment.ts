/** The environment of every function, set once before the first one runs (infra/topology.ts names the variables). */
import { BUCKETS, envName, SECRETS, TABLES, TASK_FAMILY } from '../../infra/topology.ts';
import { REGION } from '../lambda/identity.ts';

/** Closed: a client without an endpoint of its own reaches nothing outside this machine. */
const NOWHERE = 'http://127.0.0.1:9';
export const CLUSTER = 'village';
/** The one tenant of a local village, and its operator. */
export const LOCAL_TENANT = 'local';

export const tableName = (name: string): string => `village-${name}`;
export const bucketName = (name: string): string => `village-${name}`;
export const secretName = (name: string): string => `village/${name}`;

/**
 * Made up for each start: any process of the machine can reach the ports, so S3, ECS, Secrets and `@connections` check signatures.
 * dynoxide does not: whoever reaches its port reads and writes the tables.
 */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}
export interface Endpoints {
  readonly dynamodb: string;
  readonly s3: string;
  readonly ecs: string;
  readonly secrets: string;
  readonly publicUrl: string;
  /** By name of the WebSocket API. */
  readonly management: Readonly<Record<string, string>>;
}

const sdkEnvironment = ({ accessKeyId, secretAccessKey }: Credentials, at: Endpoints): Record<string, string> => ({
  AWS_ACCESS_KEY_ID: accessKeyId,
  AWS_SECRET_ACCESS_KEY: secretAccessKey,
  AWS_ENDPOINT_URL_DYNAMODB: at.dynamodb,
  AWS_ENDPOINT_URL_DYNAMODB_STREAMS: at.dynamodb,
  AWS_ENDPOINT_URL_ECS: at.ecs,
  AWS_ENDPOINT_URL_S3: at.s3,
  AWS_ENDPOINT_URL_SECRETS_MANAGER: at.secrets,
});

/** What entries read while they are loaded. Tracing and metrics have no receiver on one machine. */
export const loadEnvironment = (logLevel: string): Record<string, string> => ({
  AWS_REGION: REGION,
  AWS_DEFAULT_REGION: REGION,
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_ENDPOINT_URL: NOWHERE,
  POWERTOOLS_SERVICE_NAME: 'village',
  POWERTOOLS_TRACE_ENABLED: 'false',
  // The tracer's library follows every promise of the process even while it traces nothing.
  AWS_XRAY_MANUAL_MODE: 'true',
  POWERTOOLS_METRICS_DISABLED: 'true',
  POWERTOOLS_LOG_LEVEL: logLevel,
  LOG_LEVEL: logLevel,
});

/** Origins under which a browser may show the page. */
export const originsOf = (publicUrl: string): string[] => [publicUrl, publicUrl.replace('127.0.0.1', 'localhost')];

export const handlerEnvironment = (
  credentials: Credentials,
  at: Endpoints,
  version: string,
  warmPoolSize = 0,
): Record<string, string> => ({
  ...sdkEnvironment(credentials, at),
  ...Object.fromEntries(TABLES.map(({ name }) => [envName('TABLE', name), tableName(name)])),
  ...Object.fromEntries(BUCKETS.map(({ name }) => [envName('BUCKET', name), bucketName(name)])),
  ...Object.fromEntries(SECRETS.map(({ name }) => [envName('SECRET', name), secretName(name)])),
  ...Object.fromEntries(
    Object.entries(at.management).map(([name, url]) => [envName('MANAGEMENT_ENDPOINT', name), url]),
  ),
  CLUSTER,
  TASK_CONTAINER: TASK_FAMILY.container,
  TASK_SUBNETS: 'subnet-local',
  TASK_SECURITY_GROUPS: 'sg-local',
  PUBLIC_URL: at.publicUrl,
  ALLOWED_ORIGINS: originsOf(at.publicUrl).join(','),
  REQUIRE_ORIGIN_SECRET: 'false',
  OPERATOR_TENANT: LOCAL_TENANT,
  WARM_POOL_SIZE: String(warmPoolSize),
  VILLAGE_VERSION: version,
});
