/** Every AWS quota the system leans on, with what it uses of it, so that a cell's ceiling is computed instead of believed. */
import {
  AUTHORIZER_CONTEXT_MAX_BYTES,
  BATCH_MAX_ROW_EVENTS,
  CONNECTION_MAX_MS,
  EVENT_MAX_BYTES,
  FRAME_MAX_BYTES,
  HTTP_BODY_MAX_BYTES,
  PING_INTERVAL_MS,
  RECONNECT_MAX_MS,
  REDIAL_AFTER_MS,
  REDIAL_JITTER_MS,
  TASK_OVERRIDES_MAX_CHARS,
} from './limits.ts';

const KIB = 1_024;
const MINUTE_MS = 60_000;

/** Zones and subnet size of a cell's network. */
export const ZONES = 2;
export const SUBNET_CIDR_MASK = 18;
/** AWS keeps five addresses of every subnet. */
const SUBNET_ADDRESSES = 2 ** (32 - SUBNET_CIDR_MASK) - 5;

/** What one live session asks of shared quotas. Measured where it says so; the rest is assumed until the first load test. */
export const SESSION_LOAD = {
  /** Messages each way, measured on a recorded session: 250 ms coalescing, watched 20 % of its time. */
  messagesPerSecond: 0.77,
  /** The runner's connection and 0.2 viewers. */
  connections: 1.2,
  /** Assumed: the busiest minute of a cell against its average. */
  peakFactor: 2,
  /** Assumed: a frame's handler with its transaction or posts. */
  lambdaMsPerMessage: 50,
  /** Assumed; short sessions are what launch rates feel. */
  sessionSeconds: 600,
  vcpu: 1,
} as const;
export type SessionLoad = { readonly [Key in keyof typeof SESSION_LOAD]: number };

interface QuotaBase {
  readonly id: string;
  readonly unit: string;
  /** As AWS gives it to an account. */
  readonly value: number;
  /** What the operator has to have asked for before the cell is filled; `null`: used as it is given. */
  readonly raisedTo: number | null;
}
/** Shared by all sessions of a cell: bounds how many there can be. */
export interface CellQuota extends QuotaBase {
  readonly scope: 'cell';
  readonly perSession: (load: SessionLoad) => number;
}
/** Met by one message, item or task: no number of sessions changes it, but our own limit has to stay inside. */
export interface SingleQuota extends QuotaBase {
  readonly scope: 'single';
  readonly uses: number;
}
export type Quota = CellQuota | SingleQuota;

const shared = (
  id: string,
  value: number,
  unit: string,
  perSession: CellQuota['perSession'],
  raisedTo: number | null = null,
): CellQuota => ({ scope: 'cell', id, value, unit, perSession, raisedTo });
const single = (id: string, value: number, unit: string, uses: number): SingleQuota => ({
  scope: 'single',
  id,
  value,
  unit,
  uses,
  raisedTo: null,
});

const launchesPerSecond: CellQuota['perSession'] = (load) => load.peakFactor / load.sessionSeconds;

export const CELL_QUOTAS: readonly CellQuota[] = [
  shared(
    'API Gateway requests (HTTP, WebSocket and posts together)',
    10_000,
    '/s',
    (load) => load.messagesPerSecond * load.peakFactor,
  ),
  /** A gateway that drops everybody: all come back within the longest back-off, spread by full jitter. */
  shared('API Gateway new WebSocket connections', 500, '/s', (load) => load.connections / (RECONNECT_MAX_MS / 1_000)),
  shared(
    'Lambda concurrency of the account',
    1_000,
    'environments',
    (load) => (load.messagesPerSecond * load.peakFactor * load.lambdaMsPerMessage) / 1_000,
  ),
  shared('ECS RunTask', 20, '/s', launchesPerSecond),
  shared('Fargate launches, sustained', 20, '/s', launchesPerSecond),
  /** New accounts begin as low as this; it grows by use or by asking. */
  shared('Fargate on-demand vCPUs', 6, 'vCPU', (load) => load.vcpu, 5_000),
  shared('VPC network interfaces', 5_000, 'interfaces', () => 1),
  shared('addresses of the runner subnets (ours)', ZONES * SUBNET_ADDRESSES, 'addresses', () => 1),
];

export const SINGLE_QUOTAS: readonly SingleQuota[] = [
  single('API Gateway WebSocket frame', 32 * KIB, 'bytes', FRAME_MAX_BYTES),
  single('API Gateway WebSocket idle time', 10 * MINUTE_MS, 'ms', PING_INTERVAL_MS),
  single('API Gateway WebSocket connection', CONNECTION_MAX_MS, 'ms', REDIAL_AFTER_MS + REDIAL_JITTER_MS),
  single('API Gateway authorizer context', 8 * KIB, 'bytes', AUTHORIZER_CONTEXT_MAX_BYTES),
  single('API Gateway HTTP body', 10 * KIB * KIB, 'bytes', HTTP_BODY_MAX_BYTES),
  single('Lambda synchronous payload', 6 * KIB * KIB, 'bytes', HTTP_BODY_MAX_BYTES),
  single('DynamoDB item', 400 * KIB, 'bytes', EVENT_MAX_BYTES),
  /** Rows of a batch, and at most twenty for head, projection, segment and ledger. */
  single('DynamoDB actions of a transaction', 100, 'actions', BATCH_MAX_ROW_EVENTS + 20),
  single('ECS RunTask overrides', 8_192, 'characters', TASK_OVERRIDES_MAX_CHARS),
];

export const QUOTAS: readonly Quota[] = [...CELL_QUOTAS, ...SINGLE_QUOTAS];

/** Design bound of a cell until a load test says otherwise (architecture §1). */
export const CELL_SESSIONS_MAX = 5_000;

export interface Ceiling {
  /** Live sessions. */
  readonly sessions: number;
  /** Id of the quota that is used up first; `null` where only the design bound stands in the way. */
  readonly boundBy: string | null;
}

/** @param raised whether every raise the list asks for was granted */
export const cellCeiling = (
  quotas: readonly CellQuota[],
  load: SessionLoad,
  raised: boolean,
  designMax: number = CELL_SESSIONS_MAX,
): Ceiling => {
  let ceiling: Ceiling = { sessions: designMax, boundBy: null };
  for (const { id, value, raisedTo, perSession } of quotas) {
    const available = raised ? (raisedTo ?? value) : value;
    const sessions = Math.floor(available / perSession(load));
    if (sessions < ceiling.sessions) ceiling = { sessions, boundBy: id };
  }
  return ceiling;
};

const said = ({ sessions, boundBy }: Ceiling): string =>
  `${sessions} live sessions (bound by ${boundBy ?? 'the design until measured'})`;

/** Lines for a person: the ceiling as AWS gives the account, with what has to be asked for, and after that. */
export const describeCeiling = (quotas: readonly CellQuota[], load: SessionLoad): readonly string[] => [
  `cell ceiling as AWS gives an account: ${said(cellCeiling(quotas, load, false))}`,
  ...quotas
    .filter(({ raisedTo }) => raisedTo !== null)
    .map(({ id, value, raisedTo, unit }) => `  to be raised: ${id}, ${value} to ${raisedTo} ${unit}`),
  `cell ceiling with these raised: ${said(cellCeiling(quotas, load, true))}`,
];
