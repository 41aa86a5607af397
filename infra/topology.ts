/**
 * The whole system as plain data: CDK realises it on AWS, local/ on one machine, so that the two cannot drift.
 * Names are logical; the platform decides the physical ones and hands them to functions by environment.
 */
import { STREAM_RECORD_MAX_AGE_MS, STREAM_RETRIES } from '../shared/limits.ts';

export type AttributeType = 'S' | 'N';
export interface KeySpec {
  readonly name: string;
  readonly type: AttributeType;
}
export interface IndexSpec {
  readonly name: string;
  readonly partitionKey: KeySpec;
  readonly sortKey?: KeySpec;
  readonly projection: 'ALL' | 'KEYS_ONLY' | readonly string[];
}
export interface TableSpec {
  readonly name: TableName;
  readonly partitionKey: KeySpec;
  readonly sortKey?: KeySpec;
  readonly ttlAttribute?: string;
  readonly stream?: 'NEW_IMAGE' | 'NEW_AND_OLD_IMAGES';
  readonly indexes: readonly IndexSpec[];
  /** Point-in-time recovery and deletion protection: where loss could not be made good from elsewhere. */
  readonly durable: boolean;
}

const text = (name: string): KeySpec => ({ name, type: 'S' });
const number = (name: string): KeySpec => ({ name, type: 'N' });

export type TableName = 'tenants' | 'sessions' | 'events' | 'connections' | 'usage' | 'releases' | 'runners';
const table = (name: TableName, spec: Partial<TableSpec> = {}): TableSpec => ({
  name,
  partitionKey: text('pk'),
  sortKey: text('sk'),
  indexes: [],
  durable: true,
  ...spec,
});

export const TABLES: readonly TableSpec[] = [
  table('tenants', { ttlAttribute: 'expiresAtSec' }),
  table('sessions', {
    stream: 'NEW_AND_OLD_IMAGES',
    indexes: [
      { name: 'by-tenant', partitionKey: text('tenantKey'), sortKey: text('createdKey'), projection: 'ALL' },
      { name: 'live', partitionKey: text('liveShard'), sortKey: number('nextCheckAtMs'), projection: 'KEYS_ONLY' },
      { name: 'archive', partitionKey: text('archiveShard'), sortKey: number('archiveAtMs'), projection: 'KEYS_ONLY' },
    ],
  }),
  table('events', { stream: 'NEW_IMAGE', ttlAttribute: 'expiresAtSec' }),
  table('connections', { ttlAttribute: 'expiresAtSec', durable: false }),
  table('usage', {
    stream: 'NEW_IMAGE',
    indexes: [{ name: 'by-day', partitionKey: text('dayKey'), sortKey: text('sk'), projection: 'ALL' }],
  }),
  table('releases', {}),
  /** Its stream is read for rows that go: places given back, claims, revocations. */
  table('runners', { ttlAttribute: 'expiresAtSec', durable: false, stream: 'NEW_IMAGE' }),
];

export type BucketName = 'transcripts' | 'page';
export interface BucketSpec {
  readonly name: BucketName;
  readonly versioned: boolean;
  readonly durable: boolean;
  readonly expireDays?: number;
}
export const BUCKETS: readonly BucketSpec[] = [
  { name: 'transcripts', versioned: false, durable: true, expireDays: 400 },
  { name: 'page', versioned: false, durable: false },
];

export type SecretName = 'signing-key' | 'origin-secret' | 'model-keys';
export const SECRETS: readonly { readonly name: SecretName; readonly generated: boolean }[] = [
  { name: 'signing-key', generated: true },
  { name: 'origin-secret', generated: true },
  /** JSON {"anthropic": "<key>"}; filled by the operator, empty by default. */
  { name: 'model-keys', generated: false },
];

/** What a function may do; the CDK app turns each into the narrowest statement, local/ needs none. */
export type Grant =
  | { readonly kind: 'table'; readonly table: TableName; readonly access: 'read' | 'write' | 'readwrite' }
  | {
      readonly kind: 'bucket';
      readonly bucket: BucketName;
      readonly access: 'get' | 'put' | 'getput' | 'delete';
      readonly prefix: string;
    }
  | { readonly kind: 'secret'; readonly secret: SecretName }
  /** Posting to connections; closing one is a right of its own. */
  | { readonly kind: 'connections'; readonly api: WebSocketApiName; readonly access: 'post' | 'close' }
  | { readonly kind: 'tasks'; readonly access: TaskAccess };
export type TaskAccess = 'run' | 'stop' | 'describe' | 'list';

const reads = (...names: TableName[]): Grant[] => names.map((name) => ({ kind: 'table', table: name, access: 'read' }));
const writes = (...names: TableName[]): Grant[] =>
  names.map((name) => ({ kind: 'table', table: name, access: 'readwrite' }));
const secret = (name: SecretName): Grant => ({ kind: 'secret', secret: name });
const posts = (...apis: WebSocketApiName[]): Grant[] =>
  apis.map((api) => ({ kind: 'connections', api, access: 'post' }));
const closes = (api: WebSocketApiName): Grant => ({ kind: 'connections', api, access: 'close' });
const tasks = (...access: TaskAccess[]): Grant[] => access.map((a) => ({ kind: 'tasks', access: a }));

export type FunctionName =
  | 'api'
  | 'runner-credentials'
  | 'authorize-http'
  | 'authorize-viewer'
  | 'authorize-runner'
  | 'viewer-connection'
  | 'viewer-frames'
  | 'runner-connection'
  | 'runner-frames'
  | 'task-events'
  | 'reap'
  | 'continue-sessions'
  | 'reconcile'
  | 'fill-warm-pool'
  | 'runner-changes'
  | 'fan-out-events'
  | 'archive-events'
  | 'bootstrap-tenant';
export interface FunctionSpec {
  readonly name: FunctionName;
  /** Path from the root; exports `handler`. */
  readonly entry: string;
  readonly memoryMb: number;
  readonly timeoutMs: number;
  /** Ingest, viewer and control functions keep concurrency of their own, so that one cannot starve another. */
  readonly reservedConcurrency?: number;
  /** Whether it begins traces of its own; what runs for each frame of a terminal only joins one that it is handed. */
  readonly begins: 'traces' | 'none';
  readonly grants: readonly Grant[];
}

const fn = (
  name: FunctionName,
  timeoutMs: number,
  grants: readonly Grant[],
  over: Partial<FunctionSpec> = {},
): FunctionSpec => ({
  name,
  entry: `functions/entries/${name}.ts`,
  memoryMb: 512,
  timeoutMs,
  begins: 'traces',
  grants,
  ...over,
});

const CONTROL_GRANTS: readonly Grant[] = [
  ...writes('tenants', 'sessions', 'events', 'connections', 'usage', 'releases', 'runners'),
  secret('signing-key'),
  secret('origin-secret'),
  ...posts('runner'),
  closes('runner'),
  ...tasks('run'),
  { kind: 'bucket', bucket: 'transcripts', access: 'getput', prefix: 'tenants/' },
];

/** Whatever raises and places the next epoch of a session, or ends it instead. */
const CONTINUE_GRANTS: readonly Grant[] = [
  ...writes('sessions', 'events', 'usage', 'tenants', 'runners', 'connections'),
  secret('signing-key'),
  ...posts('runner'),
  ...tasks('run'),
  { kind: 'bucket', bucket: 'transcripts', access: 'get', prefix: 'tenants/' },
];

export const FUNCTIONS: readonly FunctionSpec[] = [
  fn('api', 29_000, CONTROL_GRANTS, { memoryMb: 1_024, reservedConcurrency: 100 }),
  fn('runner-credentials', 10_000, [
    ...reads('sessions'),
    secret('signing-key'),
    secret('origin-secret'),
    secret('model-keys'),
    { kind: 'bucket', bucket: 'transcripts', access: 'get', prefix: 'tenants/' },
  ]),
  fn('authorize-http', 5_000, [secret('signing-key'), secret('origin-secret')]),
  fn('authorize-viewer', 5_000, [...writes('tenants'), secret('origin-secret')]),
  fn('authorize-runner', 5_000, [...writes('runners'), secret('origin-secret')]),
  fn('viewer-connection', 10_000, [...writes('connections'), ...posts('runner', 'viewer'), ...reads('sessions')]),
  fn(
    'viewer-frames',
    10_000,
    /** Its events are those of a keyboard that changes hands. */
    [...writes('connections', 'sessions', 'events'), secret('signing-key'), ...posts('runner', 'viewer')],
    {
      begins: 'none',
      reservedConcurrency: 200,
    },
  ),
  fn('runner-connection', 10_000, writes('connections', 'runners')),
  fn(
    'runner-frames',
    20_000,
    [
      ...writes('sessions', 'events', 'connections', 'usage', 'runners', 'tenants'),
      secret('signing-key'),
      ...posts('runner', 'viewer'),
      { kind: 'bucket', bucket: 'transcripts', access: 'getput', prefix: 'tenants/' },
      { kind: 'bucket', bucket: 'transcripts', access: 'delete', prefix: 'tenants/*/checkpoints/' },
    ],
    { begins: 'none', reservedConcurrency: 400, memoryMb: 1_024 },
  ),
  fn('task-events', 20_000, writes('sessions', 'events', 'usage', 'tenants', 'runners')),
  fn('reap', 60_000, [...CONTINUE_GRANTS, ...tasks('describe', 'stop')], { reservedConcurrency: 1 }),
  /** Apart from the fan-out: a RunTask that is throttled must not hold up what people watch. */
  fn('continue-sessions', 60_000, CONTINUE_GRANTS, { reservedConcurrency: 20 }),
  fn('reconcile', 60_000, [...reads('sessions', 'runners'), ...tasks('list', 'describe', 'stop')], {
    reservedConcurrency: 1,
  }),
  fn(
    'fill-warm-pool',
    60_000,
    [
      ...writes('runners'),
      ...reads('releases'),
      secret('signing-key'),
      ...posts('runner'),
      ...tasks('run', 'describe', 'stop'),
    ],
    { reservedConcurrency: 1 },
  ),
  /** Gives freed places away, replaces claimed tasks of the warm pool, ends what a revoked runner ran. */
  fn(
    'runner-changes',
    60_000,
    [...CONTINUE_GRANTS, ...reads('releases'), closes('runner'), ...tasks('describe', 'stop')],
    { reservedConcurrency: 20 },
  ),
  /** Posts to runners too: a viewer found gone is taken off the list, and the runner is told. */
  fn('fan-out-events', 30_000, [...reads('sessions'), ...writes('connections'), ...posts('runner', 'viewer')], {
    begins: 'none',
  }),
  /** One run at a time; it reads back each object that it stored. */
  fn(
    'archive-events',
    60_000,
    [...writes('sessions', 'events'), { kind: 'bucket', bucket: 'transcripts', access: 'getput', prefix: 'tenants/' }],
    { reservedConcurrency: 1, memoryMb: 1_024 },
  ),
  fn('bootstrap-tenant', 10_000, [...writes('tenants'), secret('signing-key')]),
];

/** `bootstrap-tenant` has no route: the operator invokes it to create a tenant with its first sign-in link; locally the start does. */
export const BOOTSTRAP_FUNCTION: FunctionName = 'bootstrap-tenant';

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
const signedIn = (method: HttpRoute['method'], path: string): HttpRoute => ({
  method,
  path,
  function: 'api',
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
  signedIn('POST', '/api/sessions/{id}/input'),
  signedIn('POST', '/api/sessions/{id}/stop'),
  signedIn('POST', '/api/sessions/{id}/pause'),
  signedIn('POST', '/api/sessions/{id}/resume'),
] as const satisfies readonly HttpRoute[];

/** Of the HTTP API as a whole: sign-in guesses and polling stay below what the WebSockets need of the account's rate. */
export const HTTP_API_THROTTLE = { ratePerSecond: 1_000, burst: 500 } as const;

export type WebSocketApiName = 'viewer' | 'runner';
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
