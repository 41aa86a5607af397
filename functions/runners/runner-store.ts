/** Runners as `GET /api/runners` shows them: tasks of the platform by their session, and the tenant's own. */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { RunnerInfo } from '../../shared/http.ts';
import { CONNECTION_TTL_MS } from '../../shared/limits.ts';
import type { Database, Item, Write } from '../database.ts';
import { type Assignment, type HostRef, hostOf, hostView, listAssignments, readHost, shownRows } from './host-store.ts';

/** Reads of one page: rows that are over are left out, and a page of nothing else is followed by the next. */
const PAGE_READS_MAX = 10;
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
  /** @param cursor of the page before; what comes back may be shorter than `limit` though more follows */
  list(
    tenantId: string,
    page: { readonly limit: number; readonly cursor?: string },
  ): Promise<{ runners: RunnerInfo[]; cursor: string | null }>;
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

const taskOf = (item: Item, nowMs: number): RunnerInfo | null =>
  Number(item.expiresAtSec) * 1_000 > nowMs ? z.object(RunnerInfo.shape).parse(item) : null;

/** Rows of both kinds as people see them; `null` for what is over. */
const shown = (item: Item, held: ReadonlyMap<string, Assignment[]>, nowMs: number): RunnerInfo | null => {
  if (!String(item.sk).startsWith('HOST#')) return taskOf(item, nowMs);
  const host = hostOf(item, nowMs);
  return host === null ? null : hostView(host, held.get(host.runnerId) ?? [], nowMs);
};

const listRunners = async (
  db: Database,
  tenantId: string,
  { limit, cursor: from }: { readonly limit: number; readonly cursor?: string },
  nowMs: number,
): Promise<{ runners: RunnerInfo[]; cursor: string | null }> => {
  const held = Map.groupBy(await listAssignments(db, tenantId), ({ runnerId }) => runnerId);
  const runners: RunnerInfo[] = [];
  let cursor = from ?? null;
  for (let read = 0; read < PAGE_READS_MAX && runners.length < limit; read += 1) {
    const asked = { limit: limit - runners.length, ...(cursor === null ? {} : { cursor }) };
    const page = await shownRows(db, tenantId, asked);
    runners.push(...page.items.flatMap((item) => shown(item, held, nowMs) ?? []));
    cursor = page.cursor;
    if (cursor === null) break;
  }
  return { runners, cursor };
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
    list: (tenantId, page) => listRunners(db, tenantId, page, clock.nowMs()),
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
