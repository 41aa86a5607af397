/** How an epoch ends whose session goes on in another one, beside the ends that are the session's own. */
import type { SavedParts } from './saved-parts.ts';
import type { Ending } from './session-runtime.ts';

export type Leaving =
  | { readonly to: 'drained'; readonly why: string }
  | { readonly to: 'parked'; readonly checkpointKey: string };

/** Why a session is given up here though what it recorded may still be kept: its epoch is over, or somebody else has said so. */
export const isOverElsewhere = (why: string): boolean => ['closed', 'stale_epoch', 'newer_epoch'].includes(why);

export const STOPPED: Ending = { to: 'completed', reason: { code: 'stopped', message: 'The session was stopped.' } };

export const isLeaving = (ending: Ending | Leaving): ending is Leaving =>
  ending.to === 'drained' || ending.to === 'parked';

/** For a runner that is started again in the middle of the end. */
export const savedEnding = (planned: Ending | Leaving | null): Pick<SavedParts, 'ending' | 'leaving'> => {
  if (planned === null) return { ending: null, leaving: null };
  return isLeaving(planned) ? { ending: null, leaving: planned } : { ending: planned, leaving: null };
};
