/** Who is here and who leads, as one line for a title bar, with the keys that answer. */
import type { StreamView } from '../../shared/viewer/stream-view.ts';
import type { Offer } from './detach-keys.ts';

type Seat = Pick<StreamView, 'mode' | 'controllerId' | 'presence' | 'askedBy' | 'asking' | 'live'>;

const called = ({ userId, device }: { userId: string; device: string }): string =>
  device === '' ? userId : `${userId} (${device})`;

/** What ctrl-p offers now. */
export const offersOf = (seat: Seat): readonly Offer[] => {
  if (seat.askedBy !== null) return ['allow', 'keep'];
  if (seat.mode === 'control' || seat.live !== true) return [];
  return seat.asking === 'unanswered' ? ['take'] : seat.asking === 'waiting' ? [] : ['ask'];
};

export const seatWords = (seat: Seat): string => {
  const leader = seat.presence.find(({ viewerId }) => viewerId === seat.controllerId);
  const name = leader === undefined ? 'nobody' : called(leader);
  const here = seat.presence.length > 1 ? ` · ${seat.presence.length} here` : '';
  if (seat.askedBy !== null)
    return `${called(seat.askedBy)} asks for the keyboard: ctrl-p ctrl-y allows, ctrl-p ctrl-n keeps it${here}`;
  if (seat.mode === 'control') return `you have the keyboard${here}`;
  if (seat.asking === 'waiting') return `asked ${name} for the keyboard${here}`;
  if (seat.asking === 'unanswered') return `${name} does not answer: ctrl-p ctrl-o takes control anyway${here}`;
  if (seat.asking === 'declined') return `${name} keeps the keyboard: ctrl-p ctrl-t asks again${here}`;
  return leader === undefined
    ? `watching: ctrl-p ctrl-t takes the keyboard${here}`
    : `watching, ${name} types: ctrl-p ctrl-t asks for the keyboard${here}`;
};
