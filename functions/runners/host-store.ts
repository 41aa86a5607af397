/**
 * Customer-hosted runners under their tenant's key, and what each of them holds. `live` is counted in the transactions that claim and
 * give back a place, so that no number of parallel starts exceeds the capacity that the runner said.
 */
import { z } from 'zod';
import type { RunnerInfo, RunnerState } from '../../shared/http.ts';
import { Epoch, RunnerId, SessionId, TenantId } from '../../shared/ids.ts';
import {
  RUNNER_AWAY_COUNTED_MS,
  RUNNER_GONE_SHOWN_MS,
  RUNNER_LOST_MS,
  RUNNER_REGISTRATION_TTL_MS,
  TENANT_LIVE_SESSIONS_MAX,
} from '../../shared/limits.ts';
import { ProviderId } from '../../shared/providers.ts';
import { CliVersion } from '../../shared/releases.ts';
import { RunnerGroup } from '../../shared/session.ts';
import {
  type Database,
  type Delete,
  type Item,
  type Key,
  type Page,
  queryAll,
  type Update,
  type Write,
} from '../database.ts';

const ms = z.int().min(0);
export const Host = z.looseObject({
  tenantId: TenantId,
  runnerId: RunnerId,
  group: RunnerGroup,
  name: z.string().nullable(),
  /** What the registration allows; the runner may offer less. */
  maxSessions: z.int().min(1),
  isRevoked: z.boolean(),
  /** Revoked while it was connected, and cut off: it knows. */
  isCut: z.boolean().default(false),
  desired: z.enum(['serve', 'drain']),
  /** As the runner last said. */
  isDraining: z.boolean(),
  capacity: z.int().min(1),
  live: z.int(),
  /** `null` while it is not connected; set only by a higher dial. */
  connectionId: z.string().nullable(),
  dial: z.int().min(0),
  runnerVersion: z.string(),
  /** Empty until it connected. */
  buildId: z.string(),
  protocol: z.int().nullable(),
  clis: z.partialRecord(ProviderId, CliVersion),
  isolation: z.enum(['own_uid', 'shared_uid']).nullable(),
  registeredAtMs: ms,
  connectedAtMs: ms.nullable(),
  lastSeenMs: ms.nullable(),
  /** DynamoDB forgets it then; whoever reads does not wait for that. */
  expiresAtSec: z.int(),
});
export type Host = z.infer<typeof Host>;

/** A session that a runner holds, as long as its epoch is open. */
export const Assignment = z.looseObject({
  runnerId: RunnerId,
  sessionId: SessionId,
  epoch: Epoch,
  /** Of the runner, when it was last told of it or named it. */
  dial: z.int().min(0).default(0),
});
export type Assignment = z.infer<typeof Assignment>;

export interface HostRef {
  readonly tenantId: string;
  readonly runnerId: string;
}

const tenantPk = (tenantId: string): string => `T#${tenantId}`;
export const hostKey = ({ tenantId, runnerId }: HostRef): Key => ({ pk: tenantPk(tenantId), sk: `HOST#${runnerId}` });
export const assignmentKey = ({ tenantId, runnerId }: HostRef, sessionId: string): Key => ({
  pk: tenantPk(tenantId),
  sk: `ASSIGN#${runnerId}#${sessionId}`,
});

/** @returns `null` for what was never registered, or is forgotten */
export const hostOf = (item: Item | null, nowMs: number): Host | null => {
  /** A place given back after its runner was forgotten leaves a count without a runner. */
  if (item === null || item.group === undefined) return null;
  const host = Host.parse(item);
  return host.expiresAtSec * 1_000 > nowMs ? host : null;
};

export const readHost = async (db: Database, ref: HostRef, nowMs: number): Promise<Host | null> =>
  hostOf(await db.get('runners', hostKey(ref)), nowMs);

/** Forgotten and partial ones too. Registering bounds their number, and what it leaves must never keep a session from its runner. */
export const hostRows = (db: Database, tenantId: string): Promise<Item[]> => {
  const query = { table: 'runners', partition: tenantPk(tenantId), sort: { beginsWith: 'HOST#' } } as const;
  return queryAll(db, query, Number.POSITIVE_INFINITY);
};

export const listHosts = async (db: Database, tenantId: string, nowMs: number): Promise<Host[]> =>
  (await hostRows(db, tenantId)).flatMap((item) => hostOf(item, nowMs) ?? []);

/** The tenant's own runners, then the tasks of its sessions: rows in the order of their keys, page by page. */
export const shownRows = (db: Database, tenantId: string, page: { limit: number; cursor?: string }): Promise<Page> =>
  db.query({ table: 'runners', partition: tenantPk(tenantId), sort: { from: 'HOST#', to: 'RUNNER#~' }, ...page });

/** @param runnerId of one runner; of all of the tenant when absent */
export const listAssignments = async (db: Database, tenantId: string, runnerId?: string): Promise<Assignment[]> => {
  const sort = { beginsWith: runnerId === undefined ? 'ASSIGN#' : `ASSIGN#${runnerId}#` };
  const query = { table: 'runners', partition: tenantPk(tenantId), sort } as const;
  return (await queryAll(db, query, 2 * TENANT_LIVE_SESSIONS_MAX)).map((item) => Assignment.parse(item));
};

/** From here on it is of the process that dials with this number, at least. Before it is told, or what it then stores looks lost. */
export const assignmentSeen = async (
  db: Database,
  ref: HostRef,
  { sessionId, epoch }: Pick<Assignment, 'sessionId' | 'epoch'>,
  dial: number,
): Promise<void> => {
  await db.write({
    kind: 'update',
    table: 'runners',
    key: assignmentKey(ref, sessionId),
    set: { dial },
    conditions: [
      { attr: 'epoch', op: '=', value: epoch },
      { attr: 'dial', op: '<', value: dial, orAbsent: true },
    ],
  });
};

/** Takes a place of `host` as it was read; fails when another claim took the last one, or the runner changed in between. */
export const placeTaken = (host: Host, sessionId: string, epoch: number): Write[] => [
  {
    kind: 'update',
    table: 'runners',
    key: hostKey(host),
    add: { live: 1 },
    conditions: [
      { attr: 'isRevoked', op: '=', value: false },
      { attr: 'desired', op: '=', value: 'serve' },
      { attr: 'isDraining', op: '=', value: false },
      { attr: 'connectionId', op: '=', value: host.connectionId },
      { attr: 'capacity', op: '=', value: host.capacity },
      { attr: 'live', op: '<', value: host.capacity },
    ],
  },
  {
    kind: 'put',
    table: 'runners',
    item: { ...assignmentKey(host, sessionId), runnerId: host.runnerId, sessionId, epoch, dial: host.dial },
    conditions: [{ attr: 'pk', is: 'absent' }],
  },
];

/**
 * Only in a transaction whose other conditions make it happen once. Of a runner that was forgotten it leaves a count, which must not keep
 * the epoch open, and is forgotten too.
 */
export const placeGivenBack = (ref: HostRef, sessionId: string, nowMs: number): [Update, Delete] => [
  {
    kind: 'update',
    table: 'runners',
    key: hostKey(ref),
    add: { live: -1 },
    setIfAbsent: { expiresAtSec: Math.ceil((nowMs + RUNNER_GONE_SHOWN_MS) / 1_000) },
  },
  { kind: 'delete', table: 'runners', key: assignmentKey(ref, sessionId) },
];

const isSilent = ({ lastSeenMs }: Host, nowMs: number): boolean =>
  lastSeenMs === null || nowMs - lastSeenMs >= RUNNER_LOST_MS;

/** Whether it may get a session now. */
export const isServing = (host: Host, nowMs: number): boolean =>
  !host.isRevoked &&
  host.desired === 'serve' &&
  !host.isDraining &&
  host.connectionId !== null &&
  !isSilent(host, nowMs);

export const hasPlace = (host: Host, nowMs: number): boolean => isServing(host, nowMs) && host.live < host.capacity;

/** Whether it may ever serve (again): a token that nobody used in time never does. */
export const canCome = ({ isRevoked, lastSeenMs, registeredAtMs }: Host, nowMs: number): boolean =>
  !isRevoked && (lastSeenMs !== null || nowMs < registeredAtMs + RUNNER_REGISTRATION_TTL_MS);

/** Whether it takes a place in the number that a tenant may have. */
export const isCounted = (host: Host, nowMs: number): boolean =>
  host.live > 0 ||
  (canCome(host, nowMs) && (host.lastSeenMs === null || nowMs - host.lastSeenMs < RUNNER_AWAY_COUNTED_MS));

const stateOf = (host: Host, nowMs: number): RunnerState => {
  if (host.isRevoked) return 'revoked';
  if (host.lastSeenMs === null) return 'registered';
  const isDraining = host.desired === 'drain' || host.isDraining;
  if (isDraining && host.connectionId === null && host.live <= 0) return 'stopped';
  if (isSilent(host, nowMs)) return 'lost';
  if (isDraining) return 'draining';
  return host.connectionId === null ? 'disconnected' : 'serving';
};

const isoOf = (atMs: number | null): string | null => (atMs === null ? null : new Date(atMs).toISOString());

export const hostView = (host: Host, held: readonly Assignment[], nowMs: number): RunnerInfo => ({
  runnerId: host.runnerId,
  kind: 'customer',
  state: stateOf(host, nowMs),
  runnerVersion: host.runnerVersion,
  buildId: host.buildId,
  sessionId: null,
  epoch: null,
  connectedAt: isoOf(host.connectedAtMs),
  group: host.group,
  name: host.name,
  capacity: host.capacity,
  sessions: held.map(({ sessionId, epoch }) => ({ sessionId, epoch })),
  protocol: host.protocol,
  clis: host.clis,
  isolation: host.isolation,
  lastSeenAt: isoOf(host.lastSeenMs),
});
