/** What a person should know of a session beyond its state: where it waits, moved, froze or what went wrong. Pure. */
import type { SessionEvent } from '../../../shared/events.ts';
import { isFinal, type SessionView } from '../../../shared/session.ts';
import { isResting, queueWords } from '../ui/session-words.ts';
import { endOfEpoch, resumedWords } from './epoch-words.ts';

export interface SessionNotice {
  /** Names it in tests, and once it was put away. */
  readonly id: string;
  readonly look: 'plain' | 'good' | 'warn';
  readonly text: string;
  /** Offers to go on. */
  readonly resumes?: boolean;
  /** It stays until it is over; others can be put away. */
  readonly stays?: boolean;
}

const MOVED_SHOWN_MS = 60_000;

const placeNotice = (session: SessionView, events: readonly SessionEvent[]): SessionNotice | null => {
  if (session.queuePosition !== null)
    return { id: 'queued', look: 'plain', text: `${queueWords(session)}.`, stays: true };
  if (!session.parked) return null;
  const end = endOfEpoch(events, session.epoch);
  if (session.desired === 'pause' || end?.type === 'session_parked' || (end === undefined && isResting(session)))
    return {
      id: 'parked',
      look: 'warn',
      text: 'Parked: waits for you. Its work is stored.',
      resumes: true,
      stays: true,
    };
  const why = end?.type === 'runner_lost' ? 'Its runner was lost' : 'Its runner gave it back';
  return { id: 'moving', look: 'warn', text: `${why}; it goes on with another one.`, stays: true };
};

const frozenNotice = (events: readonly SessionEvent[]): SessionNotice | null => {
  const frozen = events.findLast((event) => event.type === 'session_frozen');
  if (frozen?.type !== 'session_frozen' || !frozen.frozen) return null;
  return { id: 'frozen', look: 'warn', text: `Frozen, unbilled: ${frozen.reason}`, stays: true };
};

const drainingNotice = (events: readonly SessionEvent[]): SessionNotice | null =>
  events.some((event) => event.type === 'runner_draining')
    ? {
        id: 'draining',
        look: 'plain',
        text: 'Its runner is drained: the session is stored and goes on elsewhere.',
        stays: true,
      }
    : null;

const movedNotice = (events: readonly SessionEvent[], nowMs: number): SessionNotice | null => {
  const resumed = events.findLast((event) => event.type === 'session_resumed');
  if (resumed?.type !== 'session_resumed' || nowMs - resumed.ts > MOVED_SHOWN_MS) return null;
  const look = resumed.checkpointKey === null ? 'warn' : 'good';
  return { id: `moved-${resumed.seq}`, look, text: `${resumedWords(events, resumed)}.` };
};

const alertNotice = (events: readonly SessionEvent[]): SessionNotice | null => {
  const alert = events.findLast((event) => event.type === 'alert_raised');
  return alert?.type === 'alert_raised' ? { id: `alert-${alert.seq}`, look: 'warn', text: alert.message } : null;
};

/** The most pressing first. */
export const sessionNotices = (
  session: SessionView,
  events: readonly SessionEvent[],
  nowMs: number,
): readonly SessionNotice[] => {
  if (isFinal(session.state)) return [];
  const ofEpoch = events.filter(({ epoch }) => epoch === session.epoch);
  const place = placeNotice(session, events);
  return [
    place,
    ...(place === null ? [frozenNotice(ofEpoch), drainingNotice(ofEpoch), movedNotice(events, nowMs)] : []),
    alertNotice(events),
  ].filter((notice) => notice !== null);
};
