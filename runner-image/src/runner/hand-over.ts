/** When a runner that is asked to drain gives a session back: between two turns, where nothing is lost by going on elsewhere. */
import { HAND_OVER_MAX_MS, HAND_OVER_QUIET_MS } from '../../../shared/limits.ts';
import type { SessionState } from '../../../shared/session.ts';

export interface HandOverFacts {
  readonly state: SessionState;
  /** The CLI is in a turn. */
  readonly isWorking: boolean;
  /** Since the last output, input or event. */
  readonly quietMs: number;
  /** Since the runner was asked. */
  readonly askedMs: number;
}

/** A start is waited for too: it either runs soon or has failed. */
export const mayHandOver = ({ state, isWorking, quietMs, askedMs }: HandOverFacts): boolean => {
  if (askedMs >= HAND_OVER_MAX_MS) return true;
  if (state === 'waiting_for_approval' || state === 'paused_by_human') return true;
  return state === 'running' && !isWorking && quietMs >= HAND_OVER_QUIET_MS;
};
