/** How a session came to its runner, as its events tell: what a person reads where one screen gives way to the next. */
import type { EventOf, SessionEvent } from '../../../shared/events.ts';
import { clockWords } from '../ui/words.ts';

/** The last event of this type. */
const last = <T extends SessionEvent['type']>(
  events: readonly SessionEvent[],
  type: T,
  fits: (event: EventOf<T>) => boolean = () => true,
): EventOf<T> | undefined =>
  events.findLast((event): event is EventOf<T> => event.type === type && fits(event as EventOf<T>));

/** When the work was stored that is gone on with; `null` where that event is not held. */
const checkpointAtMs = (events: readonly SessionEvent[], key: string | null): number | null =>
  key === null
    ? null
    : (last(events, 'workspace_checkpointed', ({ checkpointKey }) => checkpointKey === key)?.ts ?? null);

const fromWords = (events: readonly SessionEvent[], key: string | null): string => {
  if (key === null) return 'there was no checkpoint, so it begins anew';
  const atMs = checkpointAtMs(events, key);
  return atMs === null ? 'continued from its checkpoint' : `continued from the checkpoint of ${clockWords(atMs)}`;
};

/** Why epoch `epoch` ended, as far as the events say. */
export const endOfEpoch = (
  events: readonly SessionEvent[],
  epoch: number,
): EventOf<'session_parked' | 'epoch_drained' | 'runner_lost'> | undefined =>
  events.findLast(
    (event): event is EventOf<'session_parked' | 'epoch_drained' | 'runner_lost'> =>
      event.epoch === epoch &&
      (event.type === 'session_parked' || event.type === 'epoch_drained' || event.type === 'runner_lost'),
  );

/** `Moved to another runner; continued from the checkpoint of 12:03`. */
export const resumedWords = (events: readonly SessionEvent[], resumed: EventOf<'session_resumed'>): string => {
  const end = endOfEpoch(events, resumed.fromEpoch);
  const how =
    end?.type === 'session_parked'
      ? 'Resumed'
      : end?.type === 'runner_lost'
        ? 'Its runner was lost; moved to another'
        : 'Moved to another runner';
  return `${how}; ${fromWords(events, resumed.checkpointKey)}`;
};

/** The words before the screen of `epoch`. */
export const epochWords = (events: readonly SessionEvent[], epoch: number): string => {
  const resumed = last(events, 'session_resumed', (event) => event.epoch === epoch);
  return resumed === undefined ? `The session went on (epoch ${epoch})` : resumedWords(events, resumed);
};
