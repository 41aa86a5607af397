/** When a crashed runner is started again: soon at first, ever later, and not at all when it keeps crashing. */
import {
  RUNNER_CRASH_WINDOW_MS,
  RUNNER_CRASHES_MAX,
  RUNNER_CRASHES_SETTLED_MAX,
  RUNNER_RESTART_FIRST_MS,
  RUNNER_RESTART_MAX_MS,
} from '../../../shared/limits.ts';

/** The runner's exit code when a start would end the same way: it is not started again, and pty-host ends with 1. */
export const NO_RESTART_EXIT_CODE = 78;

export type RestartDecision = { readonly action: 'restart'; readonly delayMs: number } | { readonly action: 'give_up' };

/**
 * Decides after a crash; `crashesMs` are the times of all crashes on one clock, the one just seen last, `settledMs` when a runner had taken
 * up its sessions last. A runner that never gets that far is given up soon; one that does may crash more often, but not for ever: what
 * kills it may be what its session does.
 */
export const decideRestart = (
  crashesMs: readonly number[],
  nowMs: number,
  settledMs = Number.NEGATIVE_INFINITY,
): RestartDecision => {
  const recent = crashesMs.filter((atMs) => nowMs - atMs < RUNNER_CRASH_WINDOW_MS);
  const inARow = recent.filter((atMs) => atMs > settledMs).length;
  if (inARow >= RUNNER_CRASHES_MAX || recent.length >= RUNNER_CRASHES_SETTLED_MAX) return { action: 'give_up' };
  const delayMs = Math.min(RUNNER_RESTART_MAX_MS, RUNNER_RESTART_FIRST_MS * 2 ** Math.max(0, inARow - 1));
  return { action: 'restart', delayMs };
};
