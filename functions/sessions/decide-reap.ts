/** Pure: whether a session whose check is due must be closed. Losing the lease makes a runner suspect, not dead. */
import { LEASE_LOST_KILL_MS, LEASE_MS } from '../../shared/limits.ts';
import type { StateReason } from '../../shared/session.ts';
import { type ClosingCause, causeOfStop } from './decide-closing.ts';
import type { TaskStatus } from './ports.ts';
import type { StreamHead } from './session-store.ts';

export type ReapDecision =
  | { readonly action: 'wait'; readonly nextCheckAtMs: number }
  | {
      readonly action: 'close';
      readonly cause: ClosingCause;
      readonly reason: StateReason;
      readonly stopTask: boolean;
    };

export const needsTaskStatus = (head: StreamHead, nowMs: number): boolean => head.open && nowMs >= head.leaseUntilMs;

const hint = 'Start the session again.';

/** @param task what ECS says of the epoch's task; only asked for when the lease has passed */
export const decideReap = (
  head: Pick<StreamHead, 'leaseUntilMs' | 'assignedAtMs'>,
  task: TaskStatus,
  nowMs: number,
): ReapDecision => {
  if (nowMs < head.leaseUntilMs) return { action: 'wait', nextCheckAtMs: head.leaseUntilMs };
  if (task.kind === 'stopped')
    return {
      action: 'close',
      cause: causeOfStop(task.stopCode),
      stopTask: false,
      reason: {
        code: 'runner_lost',
        message: `The runner's task stopped before the session ended: ${task.why}`,
        hint,
      },
    };
  if (head.assignedAtMs === null)
    return {
      action: 'close',
      cause: 'runner_lost',
      stopTask: true,
      reason: { code: 'start_timeout', message: 'The runner did not connect in time.', hint, step: 'connecting' },
    };
  if (nowMs >= head.leaseUntilMs + LEASE_LOST_KILL_MS)
    return {
      action: 'close',
      cause: 'runner_lost',
      stopTask: true,
      reason: { code: 'runner_lost', message: 'Nothing was heard of the runner for 15 minutes.', hint },
    };
  return { action: 'wait', nextCheckAtMs: nowMs + LEASE_MS };
};
