/** Every function: its entry, its bounds, and what it may touch. */
import type { BucketName, SecretName, TableName } from './topology-stores.ts';

export type WebSocketApiName = 'viewer' | 'runner';

/** `revise`: one item read, and changed; `add`: an item put, nothing read. Neither deletes. */
export type TableAccess = 'read' | 'write' | 'readwrite' | 'revise' | 'add';

/** What a function may do; the CDK app turns each into the narrowest statement, local/ needs none. */
export type Grant =
  | { readonly kind: 'table'; readonly table: TableName; readonly access: TableAccess }
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
type TaskAccess = 'run' | 'stop' | 'describe' | 'list';

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
  | 'session-input'
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
  /** Waits for the runner's answer, and must not hold up what answers at once. */
  fn(
    'session-input',
    29_000,
    [...reads('sessions'), ...writes('connections'), secret('origin-secret'), ...posts('runner')],
    { reservedConcurrency: 100 },
  ),
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
    [
      ...writes('connections'),
      { kind: 'table', table: 'sessions', access: 'revise' },
      { kind: 'table', table: 'events', access: 'add' },
      secret('signing-key'),
      ...posts('runner', 'viewer'),
    ],
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
