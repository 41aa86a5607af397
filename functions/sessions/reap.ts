/**
 * The reaper: every minute, looks at sessions whose check is due, closes epochs that nothing will end any more, and takes suspended
 * sessions on that nobody else has. What it closed is taken on by the stream, or by its own next run. A session that runs stays due all
 * the time: a look at its lease costs a tenth of moving it in the index.
 */
import { LEASE_MS, LIVE_INDEX_SHARDS, REAPER_AT_ONCE, REAPER_PAGE_MAX, REAPER_RUN_MS } from '../../shared/limits.ts';
import { isFinal } from '../../shared/session.ts';
import { closeEpoch } from './close-epoch.ts';
import { continueSession } from './continue-session.ts';
import { isUnplaced } from './decide-continue.ts';
import { decideReap, needsTaskStatus } from './decide-reap.ts';
import type { PlacePorts } from './place-epoch.ts';
import type { TaskLauncher, TaskStatus } from './ports.ts';
import {
  LIVE_INDEX_ATTRS,
  metaKey,
  type SessionRecord,
  type SessionRef,
  type StreamHead,
  sessionPk,
  taskArnOf,
} from './session-store.ts';

export interface ReapPorts extends PlacePorts {
  readonly tasks: TaskLauncher;
  readonly onError: (ref: SessionRef, error: unknown) => void;
}

export interface Reaped {
  readonly checked: number;
  /** Epochs that this run closed. */
  readonly closed: number;
  /** Suspended sessions and epochs without a runner that this run took on. */
  readonly continued: number;
  readonly failed: number;
}

/** Where the last run of this process left a shard before its end; those of the page that it had looked at are not looked at again first. */
interface Cut {
  readonly cursor: string | undefined;
  readonly looked: ReadonlySet<string>;
}
/** By shard. Sessions that are held stay at its front, so that a slow table would keep every run from those behind them. */
export type ReapCuts = Map<number, Cut>;

type Outcome = 'closed' | 'continued' | 'waiting' | 'gone';

const setNextCheck = (ports: ReapPorts, ref: SessionRef, nextCheckAtMs: number, epoch?: number) =>
  ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: { nextCheckAtMs },
    conditions: [
      { attr: 'liveShard', is: 'present' },
      /** What another caller has made of it since has its own time. */
      ...(epoch === undefined ? [] : [{ attr: 'epoch', op: '=', value: epoch } as const]),
      ...(epoch === undefined ? [] : [{ attr: 'isSuspended', op: '=', value: false, orAbsent: true } as const]),
    ],
  });

const closeOpen = async (ports: ReapPorts, ref: SessionRef, { head, meta }: SessionRecord): Promise<Outcome> => {
  const nowMs = ports.clock.nowMs();
  const taskArn = taskArnOf(meta);
  const task: TaskStatus =
    needsTaskStatus(head, nowMs) && taskArn !== null ? await ports.tasks.status(taskArn) : { kind: 'unknown' };
  const decision = decideReap(head, task, nowMs);
  if (decision.action === 'wait') {
    await setNextCheck(ports, ref, decision.nextCheckAtMs, head.epoch);
    return 'waiting';
  }
  const { cause, reason, stopTask } = decision;
  const closed = await closeEpoch(ports, ref, { epoch: head.epoch, asRead: head, cause, reason });
  /** Only after the closing is won: a runner that came back in the meantime keeps its task. If it fails, reconciling stops the task. */
  if (closed && stopTask && taskArn !== null) await ports.tasks.stop(taskArn, reason.code);
  return closed ? 'closed' : 'waiting';
};

const leaveIndex = (ports: ReapPorts, ref: SessionRef) =>
  ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    remove: LIVE_INDEX_ATTRS,
    conditions: [{ attr: 'endedAt', op: '<>', value: null }],
  });

/** Its runner is known and holds the lease: there is nothing to do, nor to write. */
const isHeld = (head: StreamHead | null, nowMs: number): boolean =>
  head?.open === true && !isFinal(head.state) && head.assignedAtMs !== null && nowMs < head.leaseUntilMs;

const reapOne = async (ports: ReapPorts, ref: SessionRef): Promise<Outcome> => {
  if (isHeld(await ports.sessions.head(ref), ports.clock.nowMs())) return 'waiting';
  const record = await ports.sessions.record(ref);
  if (record === null) return 'gone';
  const { head, meta } = record;
  if (isFinal(head.state)) {
    if (meta.liveShard !== undefined) await leaveIndex(ports, ref);
    return 'gone';
  }
  /** An epoch that nobody placed in all its time is closed; before that it is placed again. One that waits in a queue has no such time. */
  const isInTime = meta.queuePosition !== null || ports.clock.nowMs() < head.leaseUntilMs;
  if (!head.open || (isUnplaced(record) && isInTime && head.desired !== 'stop')) {
    const continued = await continueSession(ports, ref);
    return continued === 'waiting' || continued === 'nothing' ? 'waiting' : 'continued';
  }
  return closeOpen(ports, ref, record);
};

/** To the end of the line: sessions that fail every time must not fill each run's page. */
const postpone = async (ports: ReapPorts, ref: SessionRef): Promise<void> => {
  try {
    await setNextCheck(ports, ref, ports.clock.nowMs() + LEASE_MS);
  } catch (error) {
    ports.onError(ref, error);
  }
};

/** One session that cannot be reaped never keeps the others waiting: its error is reported and it goes to the end of the line. */
const reapReported = async (ports: ReapPorts, ref: SessionRef): Promise<Outcome | 'failed'> => {
  try {
    return await reapOne(ports, ref);
  } catch (error) {
    ports.onError(ref, error);
    await postpone(ports, ref);
    return 'failed';
  }
};

/** Page by page, a few sessions at once. */
const reapShard = async (ports: ReapPorts, shard: number, endMs: number, cuts: ReapCuts): Promise<Reaped> => {
  const counts = { checked: 0, closed: 0, continued: 0, failed: 0 };
  const nowMs = ports.clock.nowMs();
  const isInTime = () => ports.clock.monotonicMs() < endMs;
  let from: Cut | null = cuts.get(shard) ?? { cursor: undefined, looked: new Set() };
  /** A run that fails begins at the front again. */
  cuts.delete(shard);
  while (from !== null && isInTime()) {
    const cut: Cut = from;
    const { cursor, looked } = cut;
    const page = await ports.sessions.due(`LIVE#${shard}`, nowMs, {
      limit: REAPER_PAGE_MAX,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const left = page.refs.filter((ref) => !looked.has(sessionPk(ref)));
    while (left.length > 0 && isInTime()) {
      const refs = left.splice(0, REAPER_AT_ONCE);
      const outcomes = await Promise.all(refs.map((ref) => reapReported(ports, ref)));
      counts.checked += refs.length;
      for (const outcome of outcomes)
        if (outcome === 'closed' || outcome === 'continued' || outcome === 'failed') counts[outcome] += 1;
    }
    if (left.length > 0) {
      const ahead = new Set(left);
      const behind = page.refs.filter((ref) => !ahead.has(ref)).map(sessionPk);
      from = { cursor, looked: new Set(behind) };
    } else from = page.cursor === null ? null : { cursor: page.cursor, looked: new Set() };
  }
  if (from !== null) cuts.set(shard, from);
  return counts;
};

/**
 * All shards at once; a run ends before its time does, and the next goes on.
 * @param cuts kept from run to run; without them each begins at the front
 */
export const reap = async (ports: ReapPorts, cuts: ReapCuts = new Map()): Promise<Reaped> => {
  const endMs = ports.clock.monotonicMs() + REAPER_RUN_MS;
  const shards = Array.from({ length: LIVE_INDEX_SHARDS }, (_, shard) => reapShard(ports, shard, endMs, cuts));
  const settled = await Promise.allSettled(shards);
  const all = settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
  const sum = (name: keyof Reaped): number => all.reduce((total, counts) => total + counts[name], 0);
  return { checked: sum('checked'), closed: sum('closed'), continued: sum('continued'), failed: sum('failed') };
};
