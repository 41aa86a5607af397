/** The reaper: every minute, looks at sessions whose check is due and closes those that nothing will end any more. */
import { LEASE_MS, LIVE_INDEX_SHARDS, REAPER_PAGE_MAX } from '../../shared/limits.ts';
import type { AppendPorts } from '../streams/append-events.ts';
import { closeEpoch } from './close-epoch.ts';
import { decideReap, needsTaskStatus } from './decide-reap.ts';
import type { TaskLauncher, TaskStatus } from './ports.ts';
import { LIVE_INDEX_ATTRS, metaKey, type SessionMeta, type SessionRef } from './session-store.ts';

export interface ReapPorts extends AppendPorts {
  readonly tasks: TaskLauncher;
  readonly onError: (ref: SessionRef, error: unknown) => void;
}

export const liveShardOf = (sessionId: string): string => {
  let sum = 0;
  for (const char of sessionId) sum = (sum * 31 + char.charCodeAt(0)) % 65_536;
  return `LIVE#${sum % LIVE_INDEX_SHARDS}`;
};

/** Only after the closing is won: a runner that came back in the meantime keeps its task. Due until the stop has succeeded. */
const stopClosed = async (ports: ReapPorts, ref: SessionRef, meta: SessionMeta, why: string): Promise<void> => {
  if (meta.taskArn !== null) await ports.tasks.stop(meta.taskArn, why);
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    remove: LIVE_INDEX_ATTRS,
    /** Not where a later epoch is live again. */
    conditions: [{ attr: 'epoch', op: '=', value: meta.epoch }],
  });
};

const reapOne = async (ports: ReapPorts, ref: SessionRef): Promise<'closed' | 'waiting' | 'gone'> => {
  const record = await ports.sessions.record(ref);
  if (record === null) return 'gone';
  const { head, meta } = record;
  if (!head.open) {
    if (meta.liveShard !== undefined) await stopClosed(ports, ref, meta, 'closed');
    return 'gone';
  }
  const nowMs = ports.clock.nowMs();
  const task: TaskStatus =
    needsTaskStatus(head, nowMs) && meta.taskArn !== null
      ? await ports.tasks.status(meta.taskArn)
      : { kind: 'unknown' };
  const decision = decideReap(head, task, nowMs);
  if (decision.action === 'wait') {
    await setNextCheck(ports, ref, decision.nextCheckAtMs);
    return 'waiting';
  }
  const staysDue = decision.stopTask && meta.taskArn !== null;
  const closed = await closeEpoch(ports, ref, { epoch: head.epoch, asRead: head, reason: decision.reason, staysDue });
  if (closed && staysDue) await stopClosed(ports, ref, meta, decision.reason.code);
  return closed ? 'closed' : 'waiting';
};

const setNextCheck = (ports: ReapPorts, ref: SessionRef, nextCheckAtMs: number) =>
  ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: { nextCheckAtMs },
    conditions: [{ attr: 'liveShard', is: 'present' }],
  });

/** To the end of the line: sessions that fail every time must not fill each run's page. */
const postpone = async (ports: ReapPorts, ref: SessionRef): Promise<void> => {
  try {
    await setNextCheck(ports, ref, ports.clock.nowMs() + LEASE_MS);
  } catch (error) {
    ports.onError(ref, error);
  }
};

/** One session that cannot be reaped never keeps the others waiting: its error is reported and it stays due. */
export const reap = async (ports: ReapPorts): Promise<{ checked: number; closed: number; failed: number }> => {
  const counts = { checked: 0, closed: 0, failed: 0 };
  for (let shard = 0; shard < LIVE_INDEX_SHARDS; shard += 1) {
    for (const ref of await ports.sessions.due(`LIVE#${shard}`, ports.clock.nowMs(), REAPER_PAGE_MAX)) {
      counts.checked += 1;
      try {
        if ((await reapOne(ports, ref)) === 'closed') counts.closed += 1;
      } catch (error) {
        counts.failed += 1;
        ports.onError(ref, error);
        await postpone(ports, ref);
      }
    }
  }
  return counts;
};
