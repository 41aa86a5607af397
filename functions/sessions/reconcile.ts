/**
 * Tasks without a session: every minute, whatever ECS runs is held against the sessions, and what none of them needs is stopped. What
 * closes an epoch may die before it stops the task, a runner may hang after its last word, ECS may launch what nobody heard of.
 */
import {
  ORPHAN_GRACE_MS,
  REAPER_RUN_MS,
  RECONCILE_PAGES_MAX,
  RECONCILE_READS,
  WARM_START_GRACE_MS,
} from '../../shared/limits.ts';
import type { RunnerScope } from '../../shared/runner-credential.ts';
import { parseWarmOwner, readWarm, type WarmRunner, warmBornAtMs } from '../runners/warm-store.ts';
import type { AppendPorts } from '../streams/append-events.ts';
import type { RunningTask, TaskLauncher, TaskLister } from './ports.ts';
import { type EpochItem, type SessionRecord, taskArnOf } from './session-store.ts';
import { parseTaskOwner } from './task-owner.ts';

export interface ReconcilePorts extends AppendPorts {
  readonly tasks: Pick<TaskLauncher, 'stop'> & TaskLister;
  readonly onError: (taskArn: string, error: unknown) => void;
}

export type TaskDecision = 'keep' | 'stop' | 'ask_epoch';

/** Whether the session still needs the task; `ask_epoch` where its epoch was closed, maybe just now. */
export const decideTask = (task: RunningTask, owner: RunnerScope, record: SessionRecord | null): TaskDecision => {
  if (record === null) return 'stop';
  const { head, meta } = record;
  if (head.epoch > owner.epoch || (head.epoch === owner.epoch && !head.open)) return 'ask_epoch';
  /** Written after the launch: until then the task's own mark is enough. */
  if (head.epoch < owner.epoch || meta.placement === null) return 'keep';
  return taskArnOf(meta) === task.taskArn ? 'keep' : 'stop';
};

/** Whether the pool still looks after its task: as long as it has the row. The row is older than the task, whose id says how old. */
export const decideWarmTask = (
  task: RunningTask,
  runnerId: string,
  row: Pick<WarmRunner, 'taskArn'> | null,
  nowMs: number,
): 'keep' | 'stop' => {
  if (row !== null) return row.taskArn === null || row.taskArn === task.taskArn ? 'keep' : 'stop';
  return Math.abs(nowMs - warmBornAtMs(runnerId)) < WARM_START_GRACE_MS ? 'keep' : 'stop';
};

/** Whoever stores its last word gets a moment to leave by itself. */
const isOrphanOf = (epoch: EpochItem | null, nowMs: number): boolean =>
  epoch?.closedAtMs === undefined || nowMs >= epoch.closedAtMs + ORPHAN_GRACE_MS;

const isOrphan = async (ports: ReconcilePorts, task: RunningTask, owner: RunnerScope): Promise<boolean> => {
  const { epoch, ...ref } = owner;
  const decision = decideTask(task, owner, await ports.sessions.record(ref));
  if (decision !== 'ask_epoch') return decision === 'stop';
  return isOrphanOf(await ports.sessions.epoch(ref, epoch), ports.clock.nowMs());
};

const isWarmOrphan = async ({ db, clock }: ReconcilePorts, task: RunningTask, runnerId: string): Promise<boolean> =>
  decideWarmTask(task, runnerId, await readWarm(db, runnerId), clock.nowMs()) === 'stop';

/** @returns whether it was stopped */
const look = async (ports: ReconcilePorts, task: RunningTask): Promise<boolean> => {
  const owner = parseTaskOwner(task.startedBy);
  const warm = parseWarmOwner(task.startedBy);
  /** Neither a session's nor the pool's: whoever started it looks after it. */
  if (owner === null && warm === null) return false;
  const isOver = owner === null ? await isWarmOrphan(ports, task, warm ?? '') : await isOrphan(ports, task, owner);
  if (isOver) await ports.tasks.stop(task.taskArn, 'No session needs this task any more.');
  return isOver;
};

export interface Reconciled {
  readonly checked: number;
  readonly stopped: number;
  readonly failed: number;
  /** Every task was looked at. */
  readonly complete: boolean;
}

/** One task that cannot be looked at never keeps the others: its error is reported, and the next run comes in a minute. */
export const reconcile = async (ports: ReconcilePorts): Promise<Reconciled> => {
  const endMs = ports.clock.monotonicMs() + REAPER_RUN_MS;
  const counts = { checked: 0, stopped: 0, failed: 0 };
  let cursor: string | null = null;
  for (let page = 0; page < RECONCILE_PAGES_MAX; page += 1) {
    const listed = await ports.tasks.listRunning(cursor);
    for (let from = 0; from < listed.tasks.length; from += RECONCILE_READS) {
      if (ports.clock.monotonicMs() >= endMs) return { ...counts, complete: false };
      const group = listed.tasks.slice(from, from + RECONCILE_READS);
      const results = await Promise.allSettled(group.map((task) => look(ports, task)));
      for (const [index, result] of results.entries()) {
        counts.checked += 1;
        if (result.status === 'fulfilled') counts.stopped += result.value ? 1 : 0;
        else {
          counts.failed += 1;
          ports.onError(group[index]?.taskArn ?? '', result.reason);
        }
      }
    }
    cursor = listed.cursor;
    if (cursor === null) return { ...counts, complete: true };
  }
  return { ...counts, complete: false };
};
