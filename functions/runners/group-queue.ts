/**
 * Sessions that wait for a runner of their group, in the order in which they were started: an id begins with its time, so that a
 * session that goes on after a lost runner stands before those that never ran. Every queued session holds a slot of its tenant, so that
 * a queue is one page: positions are counted when somebody asks, and no start or end writes those of the others.
 */
import { z } from 'zod';
import { Epoch, SessionId } from '../../shared/ids.ts';
import { TENANT_LIVE_SESSIONS_MAX } from '../../shared/limits.ts';
import { ProviderId } from '../../shared/providers.ts';
import { RunnerGroup, type SessionView } from '../../shared/session.ts';
import { type Database, type Key, queryAll, type Write } from '../database.ts';

export const Queued = z.looseObject({
  sessionId: SessionId,
  epoch: Epoch,
  group: RunnerGroup,
  provider: ProviderId,
  queuedAtMs: z.int().min(0),
});
export type Queued = z.infer<typeof Queued>;

interface Ref {
  readonly tenantId: string;
  readonly sessionId: string;
}
const keyOf = ({ tenantId, sessionId }: Ref): Key => ({ pk: `T#${tenantId}#QUEUE`, sk: sessionId });

/** All queues of the tenant, the longest waiting first. */
export const readQueues = async (db: Database, tenantId: string): Promise<Queued[]> => {
  const query = { table: 'sessions', partition: `T#${tenantId}#QUEUE` } as const;
  return (await queryAll(db, query, 2 * TENANT_LIVE_SESSIONS_MAX)).map((item) => Queued.parse(item));
};

/** From 1, among those of its group; `null` when it is not among them (any more). */
export const positionIn = (queues: readonly Queued[], sessionId: string): number | null => {
  const own = queues.find((one) => one.sessionId === sessionId);
  if (own === undefined) return null;
  return queues.filter(({ group, sessionId: other }) => group === own.group && other <= sessionId).length;
};

/** Views as they stand in the queue now; one query for all of them, and none where nobody waits. */
export const withPositions = async (
  db: Database,
  tenantId: string,
  views: readonly SessionView[],
): Promise<SessionView[]> => {
  if (views.every(({ queuePosition }) => queuePosition === null)) return [...views];
  const queues = await readQueues(db, tenantId);
  return views.map((view) => ({
    ...view,
    queuePosition: view.queuePosition === null ? null : positionIn(queues, view.sessionId),
  }));
};

export const queuePut = (ref: Ref, queued: Omit<Queued, 'sessionId'>): Write => ({
  kind: 'put',
  table: 'sessions',
  item: { ...keyOf(ref), sessionId: ref.sessionId, ...queued },
});

/** With the claim: of several that read the same queue one wins. */
export const queueTaken = (ref: Ref, epoch: number): Write => ({
  kind: 'delete',
  table: 'sessions',
  key: keyOf(ref),
  conditions: [{ attr: 'epoch', op: '=', value: epoch }],
});

/** With the closing of an epoch, which may never have waited. */
export const queueLeft = (ref: Ref): Write => ({ kind: 'delete', table: 'sessions', key: keyOf(ref) });
