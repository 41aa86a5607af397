/** What the runner does about what people asked of the session: asked by revision, so that order and repeats do not matter. */
import type { DesiredState, SessionState } from '../../../shared/session.ts';
import { isFinal } from '../../../shared/session.ts';

export interface Desired {
  readonly desired: DesiredState;
  readonly rev: number;
}

/** The newer of two wishes; `stop` absorbs everything after it. */
export const newerDesired = (known: Desired, told: Desired): Desired => {
  if (known.desired === 'stop') return { desired: 'stop', rev: Math.max(known.rev, told.rev) };
  if (told.desired === 'stop') return { desired: 'stop', rev: Math.max(known.rev, told.rev) };
  return told.rev > known.rev ? told : known;
};

export type Convergence = 'none' | 'stop' | 'pause' | 'resume';

/** What brings `state` closer to `desired` now; asked again after every change of either. */
export const converge = (state: SessionState, desired: DesiredState): Convergence => {
  if (isFinal(state) || state === 'stopping') return 'none';
  switch (desired) {
    case 'stop':
      return 'stop';
    case 'pause':
      // While it starts there is nothing to pause: asked again once it runs.
      return state === 'running' || state === 'waiting_for_approval' ? 'pause' : 'none';
    case 'run':
      return state === 'paused_by_human' ? 'resume' : 'none';
  }
};
