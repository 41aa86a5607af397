/** A session's events: the newest page first, then live ones, holes filled from the log, older ones on demand. */
import { useCallback, useEffect, useRef, useState } from 'react';
import type { SessionEvent } from '../../../shared/events.ts';
import { fetchEvents } from '../api/queries.ts';
import { addEvents, EMPTY_EVENT_LOG, type EventLog, firstHole, firstSeq } from './event-log.ts';

const PAGE_EVENTS = 200;

export interface SessionEvents {
  readonly events: readonly SessionEvent[];
  readonly problem: string | null;
  readonly hasOlder: boolean;
  /** Events are there without a hole up to this one, from the oldest that is held. */
  readonly upTo: number;
  readonly add: (event: SessionEvent) => void;
  /** With those that came since the page was last drawn: a terminal is ahead of it. */
  readonly newest: () => readonly SessionEvent[];
  readonly loadOlder: () => Promise<void>;
}

/** `headSeq` is the newest number known from elsewhere: what lies between is fetched. */
export const useEvents = (sessionId: string, headSeq: number): SessionEvents => {
  const [log, setLog] = useState<EventLog>(EMPTY_EVENT_LOG);
  const [problem, setProblem] = useState<string | null>(null);
  const fetching = useRef(false);
  const empty = log.events.length === 0;
  const hole = empty ? (headSeq > 0 ? Math.max(1, headSeq - PAGE_EVENTS + 1) : null) : firstHole(log, headSeq);

  useEffect(() => {
    if (hole === null || fetching.current) return;
    fetching.current = true;
    const abort = new AbortController();
    fetchEvents(sessionId, hole, PAGE_EVENTS, abort.signal)
      .then(
        (page) => {
          setProblem(null);
          setLog((before) => addEvents(before, page.events));
        },
        (error: unknown) => {
          if (!abort.signal.aborted) setProblem(error instanceof Error ? error.message : String(error));
        },
      )
      .finally(() => {
        fetching.current = false;
      });
    return () => {
      fetching.current = false;
      abort.abort();
    };
  }, [sessionId, hole]);

  const oldest = firstSeq(log);
  const loadOlder = useCallback(async () => {
    if (oldest === null || oldest <= 1) return;
    const from = Math.max(1, oldest - PAGE_EVENTS);
    const page = await fetchEvents(sessionId, from, oldest - from);
    setLog((before) => addEvents(before, page.events, 'oldest'));
  }, [sessionId, oldest]);
  const ahead = useRef<EventLog>(log);
  useEffect(() => {
    ahead.current = addEvents(log, ahead.current.events);
  }, [log]);
  const add = useCallback((event: SessionEvent) => {
    ahead.current = addEvents(ahead.current, [event]);
    setLog((before) => addEvents(before, [event]));
  }, []);
  const newest = useCallback(() => ahead.current.events, []);
  const upTo = (firstHole(log, log.events.at(-1)?.seq ?? 0) ?? (log.events.at(-1)?.seq ?? 0) + 1) - 1;
  return { events: log.events, upTo, problem, hasOlder: oldest !== null && oldest > 1, add, newest, loadOlder };
};
