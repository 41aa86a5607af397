/**
 * The whole system as plain data: CDK realises it on AWS, local/ on one machine, so that the two cannot drift.
 * Names are logical; the platform decides the physical ones and hands them to functions by environment.
 */
import { STREAM_RECORD_MAX_AGE_MS, STREAM_RETRIES } from '../shared/limits.ts';
import type { FunctionName, WebSocketApiName } from './topology-functions.ts';
import type { TableName } from './topology-stores.ts';

export {
  BOOTSTRAP_FUNCTION,
  FUNCTIONS,
  type FunctionName,
  type FunctionSpec,
  type Grant,
  type TableAccess,
  type WebSocketApiName,
} from './topology-functions.ts';
export {
  BUCKETS,
  type BucketName,
  type BucketSpec,
  type IndexSpec,
  type KeySpec,
  SECRETS,
  type SecretName,
  TABLES,
  type TableName,
  type TableSpec,
} from './topology-stores.ts';

export type AuthorizerName = 'authorize-http' | 'authorize-viewer' | 'authorize-runner';

export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** API Gateway path template. */
  readonly path: string;
  readonly function: FunctionName;
  /** `null`: the handler itself checks what it needs (sign-in code, capability, nothing for health). */
  readonly authorizer: AuthorizerName | null;
}
const open = (method: HttpRoute['method'], path: string, name: FunctionName = 'api'): HttpRoute => ({
  method,
  path,
  function: name,
  authorizer: null,
});
const signedIn = (method: HttpRoute['method'], path: string, name: FunctionName = 'api'): HttpRoute => ({
  method,
  path,
  function: name,
  authorizer: 'authorize-http',
});

export const HTTP_ROUTES = [
  open('GET', '/api/health'),
  open('POST', '/api/signin'),
  open('POST', '/api/signout'),
  open('POST', '/api/runner/credentials', 'runner-credentials'),
  signedIn('GET', '/api/me'),
  signedIn('POST', '/api/tickets'),
  signedIn('POST', '/api/signin-links'),
  signedIn('GET', '/api/providers'),
  signedIn('GET', '/api/builds'),
  signedIn('POST', '/api/builds'),
  signedIn('GET', '/api/runners'),
  signedIn('POST', '/api/runners/registrations'),
  signedIn('POST', '/api/runners/{id}/drain'),
  signedIn('DELETE', '/api/runners/{id}'),
  signedIn('POST', '/api/sessions'),
  signedIn('GET', '/api/sessions'),
  signedIn('GET', '/api/sessions/{id}'),
  signedIn('GET', '/api/sessions/{id}/events'),
  signedIn('GET', '/api/sessions/{id}/diff'),
  signedIn('GET', '/api/sessions/{id}/transcript'),
  signedIn('POST', '/api/sessions/{id}/input', 'session-input'),
  signedIn('POST', '/api/sessions/{id}/stop'),
  signedIn('POST', '/api/sessions/{id}/pause'),
  signedIn('POST', '/api/sessions/{id}/resume'),
] as const satisfies readonly HttpRoute[];

/** Of the HTTP API as a whole: sign-in guesses and polling stay below what the WebSockets need of the account's rate. */
export const HTTP_API_THROTTLE = { ratePerSecond: 1_000, burst: 500 } as const;

export interface WebSocketRoute {
  readonly key: '$connect' | '$disconnect' | '$default';
  readonly function: FunctionName;
  /** The Lambda's answer goes back on the same socket. */
  readonly routeResponse: boolean;
}
export interface WebSocketApiSpec {
  readonly name: WebSocketApiName;
  /** Path behind the one origin. */
  readonly path: string;
  readonly routeSelectionExpression: '$request.body.type';
  readonly authorizer: AuthorizerName;
  readonly identitySource: string;
  readonly routes: readonly WebSocketRoute[];
  readonly throttle: { readonly ratePerSecond: number; readonly burst: number };
}
export const WEBSOCKET_APIS: readonly WebSocketApiSpec[] = [
  {
    name: 'viewer',
    path: '/ws/viewer',
    routeSelectionExpression: '$request.body.type',
    authorizer: 'authorize-viewer',
    identitySource: 'route.request.header.Sec-WebSocket-Protocol',
    routes: [
      { key: '$connect', function: 'viewer-connection', routeResponse: false },
      { key: '$disconnect', function: 'viewer-connection', routeResponse: false },
      { key: '$default', function: 'viewer-frames', routeResponse: true },
    ],
    throttle: { ratePerSecond: 4_000, burst: 2_000 },
  },
  {
    name: 'runner',
    path: '/ws/runner',
    routeSelectionExpression: '$request.body.type',
    authorizer: 'authorize-runner',
    identitySource: 'route.request.header.Authorization',
    routes: [
      { key: '$connect', function: 'runner-connection', routeResponse: false },
      { key: '$disconnect', function: 'runner-connection', routeResponse: false },
      { key: '$default', function: 'runner-frames', routeResponse: true },
    ],
    throttle: { ratePerSecond: 6_000, burst: 3_000 },
  },
];

export interface EventRuleSpec {
  readonly name: string;
  readonly source: string;
  readonly detailType: string;
  readonly function: FunctionName;
}
export const EVENT_RULES: readonly EventRuleSpec[] = [
  { name: 'task-state', source: 'aws.ecs', detailType: 'ECS Task State Change', function: 'task-events' },
];

export interface ScheduleSpec {
  readonly name: string;
  readonly everyMs: number;
  readonly function: FunctionName;
}
/** Run once more at the start of a local village, which would else have a cold first minute. */
export const WARM_POOL_SCHEDULE = 'fill-warm-pool-every-minute';
export const SCHEDULES: readonly ScheduleSpec[] = [
  { name: 'reap-every-minute', everyMs: 60_000, function: 'reap' },
  { name: 'reconcile-every-minute', everyMs: 60_000, function: 'reconcile' },
  { name: WARM_POOL_SCHEDULE, everyMs: 60_000, function: 'fill-warm-pool' },
  { name: 'archive-every-minute', everyMs: 60_000, function: 'archive-events' },
];

export interface StreamTriggerSpec {
  readonly table: TableName;
  readonly function: FunctionName;
  readonly batchSize: number;
  /** Changes that reach the function; the others are filtered out before it, and cost nothing. */
  readonly changes: readonly ('INSERT' | 'MODIFY' | 'REMOVE')[];
  /** Of those, the ones whose new image has these values; all of them when absent. */
  readonly newImage?: Readonly<Record<string, string | boolean>>;
  /** A batch that fails is halved until the record that is to blame stands alone; that one is retried, then given to the dead letters. */
  readonly retries: number;
  readonly maxRecordAgeMs: number;
}
const follow = (table: TableName, name: FunctionName, over: Partial<StreamTriggerSpec> = {}): StreamTriggerSpec => ({
  table,
  function: name,
  batchSize: 100,
  changes: ['INSERT'],
  retries: STREAM_RETRIES,
  maxRecordAgeMs: STREAM_RECORD_MAX_AGE_MS,
  ...over,
});
/** Rows of the log are written once; a later change is the archive's (their TTL), which is nobody's news. */
export const STREAM_TRIGGERS: readonly StreamTriggerSpec[] = [
  follow('events', 'fan-out-events'),
  /** Of the many commits only the few that left a session without an epoch. */
  follow('sessions', 'continue-sessions', {
    batchSize: 10,
    changes: ['MODIFY'],
    newImage: { sk: 'META', isSuspended: true },
  }),
  /** Heartbeats are changes, and cost nothing here. */
  follow('runners', 'runner-changes', { changes: ['REMOVE'] }),
];

export interface TaskFamilySpec {
  readonly family: string;
  readonly container: string;
  readonly cpuUnits: number;
  readonly memoryMb: number;
  readonly ephemeralStorageGb: number;
  readonly stopTimeoutSec: number;
  /** Environment every revision has; start overrides carry only the address and the one-use token. */
  readonly environment: Readonly<Record<string, string>>;
}
export const TASK_FAMILY: TaskFamilySpec = {
  family: 'village-runner',
  container: 'runner',
  cpuUnits: 1_024,
  memoryMb: 2_048,
  ephemeralStorageGb: 21,
  stopTimeoutSec: 30,
  environment: {
    WORKSPACE_ROOT: '/village',
    LOG_LEVEL: 'info',
    USAGE_TICK_INTERVAL_MS: '30000',
    MAX_CONCURRENT_SESSIONS: '1',
  },
};

/**
 * Environment of every function, given by the platform: TABLE_<NAME>, BUCKET_<NAME>, SECRET_<NAME> (upper case, - as _) with physical
 * names; CLUSTER, TASK_CONTAINER, TASK_SUBNETS, TASK_SECURITY_GROUPS; PUBLIC_URL (one origin), ALLOWED_ORIGINS (comma separated), REQUIRE_ORIGIN_SECRET, OPERATOR_TENANT (may register builds);
 * WARM_POOL_SIZE, RUNNER_IMAGE;
 * MANAGEMENT_ENDPOINT_VIEWER, MANAGEMENT_ENDPOINT_RUNNER; POWERTOOLS_SERVICE_NAME, LOG_LEVEL.
 */
export const envName = (kind: 'TABLE' | 'BUCKET' | 'SECRET' | 'MANAGEMENT_ENDPOINT', name: string): string =>
  `${kind}_${name.toUpperCase().replaceAll('-', '_')}`;
