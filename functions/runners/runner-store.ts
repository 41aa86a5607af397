/** Runners as `GET /api/runners` shows them: one row per runner under its tenant, gone with its time to live. */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { RunnerInfo } from '../../shared/http.ts';
import { CONNECTION_TTL_MS } from '../../shared/limits.ts';
import { type Database, queryAll } from '../database.ts';

const RUNNERS_MAX = 2_000;
type Info = z.infer<typeof RunnerInfo>;

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
  list(tenantId: string): Promise<Info[]>;
}

const keyOf = (tenantId: string, sessionId: string) => ({ pk: `T#${tenantId}`, sk: `RUNNER#${sessionId}` });

export const runnerStore = (db: Database, clock: Clock): RunnerStore => ({
  connected: async ({ tenantId, sessionId, epoch, connectionId, runnerId, runnerVersion, buildId }) => {
    const info: Info = {
      runnerId,
      kind: 'hosted',
      state: 'connected',
      runnerVersion,
      buildId,
      sessionId,
      epoch,
      connectedAt: new Date(clock.nowMs()).toISOString(),
    };
    const expiresAtSec = Math.ceil((clock.nowMs() + CONNECTION_TTL_MS) / 1_000);
    await db.write({
      kind: 'put',
      table: 'runners',
      item: { ...keyOf(tenantId, sessionId), ...info, connectionId, expiresAtSec },
    });
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
    const items = await queryAll(
      db,
      { table: 'runners', partition: `T#${tenantId}`, sort: { beginsWith: 'RUNNER#' } },
      RUNNERS_MAX,
    );
    const nowSec = clock.nowMs() / 1_000;
    return items
      .filter((item) => Number(item.expiresAtSec) > nowSec)
      .map((item) => z.object(RunnerInfo.shape).parse(item));
  },
});
