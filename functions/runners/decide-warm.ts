/** Pure: what becomes of each task of the warm pool, and how many each build lacks. */
import { RUNNER_LOST_MS, START_TIMEOUT_MS, WARM_END_GRACE_MS, WARM_RECYCLE_MS } from '../../shared/limits.ts';
import type { WarmRunner } from './warm-store.ts';

export type WarmDecision =
  | { readonly action: 'keep' }
  /** The answer of ECS never came: the same request names the same task. */
  | { readonly action: 'launch_again' }
  /** No start may claim it any more; it is asked to end. */
  | { readonly action: 'drain' }
  /** It begins to count how long it takes. */
  | { readonly action: 'note_ending' }
  | { readonly action: 'stop' }
  /** Its last word is old: ECS knows whether it is still there. */
  | { readonly action: 'ask' };

/** @param isSurplus of a build that starts do not get any more, or more than the pool is to hold */
export const decideWarm = (runner: WarmRunner, isSurplus: boolean, nowMs: number): WarmDecision => {
  const ageMs = nowMs - runner.launchedAtMs;
  switch (runner.state) {
    case 'launching':
      if (ageMs >= START_TIMEOUT_MS) return { action: 'stop' };
      return { action: runner.taskArn === null ? 'launch_again' : 'keep' };
    case 'idle':
      if (isSurplus || ageMs >= WARM_RECYCLE_MS) return { action: 'drain' };
      return { action: nowMs - runner.lastSeenMs >= RUNNER_LOST_MS ? 'ask' : 'keep' };
    case 'claimed':
      return { action: 'keep' };
    case 'ending':
      if (runner.endingAtMs === null) return { action: 'note_ending' };
      return { action: nowMs - runner.endingAtMs >= WARM_END_GRACE_MS ? 'stop' : 'keep' };
  }
};

const waits = ({ state }: WarmRunner): boolean => state === 'launching' || state === 'idle';
/** Those that would be drained next come last. */
const byAge = (a: WarmRunner, b: WarmRunner): number => b.launchedAtMs - a.launchedAtMs;

/** Runners beyond what a build is to have; the oldest go. */
export const surplusOf = (runners: readonly WarmRunner[], size: number): readonly WarmRunner[] =>
  runners.filter(waits).sort(byAge).slice(size);

/** How many must be launched, so that `size` wait; those that are recycled now are replaced now. */
export const missingOf = (runners: readonly WarmRunner[], size: number, nowMs: number): number => {
  const fresh = runners.filter((runner) => waits(runner) && decideWarm(runner, false, nowMs).action !== 'drain');
  return Math.max(0, size - fresh.length);
};
