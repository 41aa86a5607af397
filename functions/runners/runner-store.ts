/** Runners as `GET /api/runners` shows them: tasks of the platform by their session, and the tenant's own. */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { RunnerInfo } from '../../shared/http.ts';
import { CONNECTION_TTL_MS } from '../../shared/limits.ts';
import { type Database, queryAll, type Write } from '../database.ts';
import { type HostRef, hostView, listAssignments, listHosts, readHost } from './host-store.ts';

const RUNNERS_MAX = 2_000;
/** How long live frames of a runner may pass after its revocation; what is stored and what is asked is checked anew each time. */
const REVOKED_MEMORY_MS = 2_000;
const REVOKED_MEMORY_MAX = 10_000;

export interface ConnectedRunner {
  readonly tenantId: string;
  readonly sessionId: string;
  readonly epoch: number;
  readonly connectionId: string;
  readonly runnerId: string;
  readonly runnerVersion: string;
  readonly buildId: string;
}

export interface RunnerStore {
  connected(runner: ConnectedRunner): Promise<void>;
  disconnected(tenantId: string, sessionId: string, connectionId: string): Promise<void>;
  list(tenantId: string): Promise<RunnerInfo[]>;
  /** Whether a customer-hosted runner may not be heard any more. @param isFresh read now, not remembered for a moment */
  isRevoked(ref: HostRef, isFresh: boolean): Promise<boolean>;
}

const keyOf = (tenantId: string, sessionId: string) => ({ pk: `T#${tenantId}`, sk: `RUNNER#${sessionId}` });

export const connectedPut = (
  kind: 'hosted' | 'warm',
  { tenantId, sessionId, ...runner }: ConnectedRunner,
  nowMs: number,
): Write => ({
  kind: 'put',
  table: 'runners',
  item: {
    ...keyOf(tenantId, sessionId),
    ...runner,
    sessionId,
    kind,
    state: 'connected',
    connectedAt: new Date(nowMs).toISOString(),
    expiresAtSec: Math.ceil((nowMs + CONNECTION_TTL_MS) / 1_000),
  },
});

const listTasks = async (db: Database, tenantId: string, nowMs: number): Promise<RunnerInfo[]> => {
  const query = { table: 'runners', partition: `T#${tenantId}`, sort: { beginsWith: 'RUNNER#' } } as const;
  const items = await queryAll(db, query, RUNNERS_MAX);
  return items
    .filter((item) => Number(item.expiresAtSec) * 1_000 > nowMs)
    .map((item) => z.object(RunnerInfo.shape).parse(item));
};

const listOwn = async (db: Database, tenantId: string, nowMs: number): Promise<RunnerInfo[]> => {
  const [hosts, held] = await Promise.all([listHosts(db, tenantId, nowMs), listAssignments(db, tenantId)]);
  return hosts.map((host) =>
    hostView(
      host,
      held.filter(({ runnerId }) => runnerId === host.runnerId),
      nowMs,
    ),
  );
};

export const runnerStore = (db: Database, clock: Clock): RunnerStore => {
  const revoked = new Map<string, { isRevoked: boolean; untilMs: number }>();
  return {
    connected: async (runner) => {
      await db.write(connectedPut('hosted', runner, clock.nowMs()));
    },
    disconnected: async (tenantId, sessionId, connectionId) => {
      await db.write({
        kind: 'update',
        table: 'runners',
        key: keyOf(tenantId, sessionId),
        set: { state: 'disconnected' },
        conditions: [{ attr: 'connectionId', op: '=', value: connectionId }],
      });
    },
    list: async (tenantId) => {
      const nowMs = clock.nowMs();
      return (await Promise.all([listOwn(db, tenantId, nowMs), listTasks(db, tenantId, nowMs)])).flat();
    },
    isRevoked: async (ref, isFresh) => {
      const name = `${ref.tenantId} ${ref.runnerId}`;
      const known = revoked.get(name);
      if (!isFresh && known !== undefined && known.untilMs > clock.monotonicMs()) return known.isRevoked;
      const isRevoked = (await readHost(db, ref, clock.nowMs()))?.isRevoked ?? true;
      if (revoked.size >= REVOKED_MEMORY_MAX) revoked.delete(revoked.keys().next().value ?? '');
      revoked.set(name, { isRevoked, untilMs: clock.monotonicMs() + REVOKED_MEMORY_MS });
      return isRevoked;
    },
  };
};
