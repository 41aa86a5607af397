/** The page's window on a session's durable events: each once, in order, bounded, and honest about holes. */
import type { SessionEvent } from '../../../shared/events.ts';
import { VIEWER_EVENTS_MAX } from '../../../shared/limits.ts';

export interface EventLog {
  /** Rising by `seq`, without repeats. */
  readonly events: readonly SessionEvent[];
}
export const EMPTY_EVENT_LOG: EventLog = { events: [] };

/** Adds events in any order; what was already there stays, since events are immutable. The oldest go over the cap. */
export const addEvents = (
  log: EventLog,
  more: readonly SessionEvent[],
  keep: 'newest' | 'oldest' = 'newest',
): EventLog => {
  const known = new Set(log.events.map((event) => event.seq));
  const added = more.filter((event) => !known.has(event.seq) && known.add(event.seq));
  if (added.length === 0) return log;
  const events = [...log.events, ...added].sort((a, b) => a.seq - b.seq);
  return { events: keep === 'newest' ? events.slice(-VIEWER_EVENTS_MAX) : events.slice(0, VIEWER_EVENTS_MAX) };
};

export const firstSeq = (log: EventLog): number | null => log.events[0]?.seq ?? null;

/** First sequence number missing between what is held and `headSeq`, or `null`: what to ask the log for. */
export const firstHole = (log: EventLog, headSeq: number): number | null => {
  let expected = log.events[0]?.seq ?? null;
  if (expected === null) return headSeq > 0 ? 1 : null;
  for (const event of log.events) {
    if (event.seq !== expected) return expected;
    expected += 1;
  }
  return expected <= headSeq ? expected : null;
};
