/** A session's situation as people call it: its state, and where several epochs and pools are concerned, more than that. */
import { HOSTED_POOL, isFinal, type SessionView } from '../../../shared/session.ts';
import { STATE_WORDS } from './words.ts';

/** Waits for a person, whether its runner was let go or not. */
export const isResting = ({ state }: SessionView): boolean =>
  state === 'waiting_for_approval' || state === 'paused_by_human';

export const poolWords = (pool: string): string =>
  pool === HOSTED_POOL ? 'the village’s own runners' : `group ${pool}`;

/** `Queued, position 3 in group build-farm`. */
export const queueWords = ({ queuePosition, pool }: SessionView): string =>
  `Queued, position ${queuePosition}${pool === HOSTED_POOL ? '' : ` in ${poolWords(pool)}`}`;

/** For the badge: short. */
export const situationWords = (session: SessionView): string => {
  if (isFinal(session.state)) return STATE_WORDS[session.state];
  if (session.queuePosition !== null) return `Queued, position ${session.queuePosition}`;
  if (session.parked && (isResting(session) || session.desired === 'pause')) return 'Parked: waits for you';
  if (session.parked || (session.state === 'created' && session.epoch > 1)) return 'Moving to another runner';
  return STATE_WORDS[session.state];
};
