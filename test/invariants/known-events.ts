/**
 * No event lost, none changed: compares what runners wrote to their journals with what is stored. An event that stood on a disk that
 * was lost may be missing, but only beyond what was acknowledged, and only where the log says that the runner was lost.
 */
import type { EventEnvelope, SessionEvent } from '../../shared/events.ts';
import { runnerEvents } from './log-numbers.ts';
import type { StoredSession } from './stored.ts';
import { findings, type Violation } from './violation.ts';

/** What the test knows of one runner's epoch. */
export interface KnownEpoch {
  readonly sessionId: string;
  readonly epoch: number;
  /** Every event whose record the runner was told is written, from rseq 1. */
  readonly journaled: readonly EventEnvelope[];
  /** The highest rseq that an acknowledgement named to the runner. */
  readonly ackedRseq: number;
  /** The disk went before everything on it was taken: the tail may be missing. */
  readonly isDiskLost: boolean;
}

const withoutSeq = (event: SessionEvent | EventEnvelope): string => {
  const { seq: _seq, ...rest } = { seq: 0, ...event };
  return JSON.stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
};

const isSame = (stored: SessionEvent | EventEnvelope, journaled: EventEnvelope): boolean => {
  if (withoutSeq(stored) === withoutSeq(journaled)) return true;
  // Stored opaquely: under its own number, naming what it was.
  return stored.type === 'event_rejected' && stored.rseq === journaled.rseq && stored.originalType === journaled.type;
};

/** What closed the epoch said that its runner is lost. */
const isDeclared = ({ events }: StoredSession, epoch: number): boolean =>
  events.some((event) => event.epoch === epoch && event.type === 'runner_lost');

export const checkKnownEpoch = (session: StoredSession, known: KnownEpoch): Violation[] => {
  const { epoch, journaled, ackedRseq, isDiskLost } = known;
  const { violations, expect } = findings(session);
  const log = runnerEvents(session.events).get(epoch) ?? [];
  const annex = session.annex.filter((batch) => batch.epoch === epoch).flatMap(({ events }) => events);
  const stored = new Map<number, SessionEvent | EventEnvelope>();
  for (const event of [...log, ...annex]) {
    const before = stored.get(event.rseq);
    expect(before === undefined, 'event_twice', `epoch ${epoch}: rseq ${event.rseq} is stored twice`);
    stored.set(event.rseq, event);
  }
  for (const event of journaled) {
    const found = stored.get(event.rseq);
    if (found !== undefined) {
      expect(
        isSame(found, event),
        'event_changed',
        () =>
          `epoch ${epoch}: rseq ${event.rseq} is ${event.type} in the journal and ${JSON.stringify(found)} in the log`,
      );
    } else {
      const mayMiss = isDiskLost && event.rseq > ackedRseq && isDeclared(session, epoch);
      expect(mayMiss, 'event_lost', `epoch ${epoch}: rseq ${event.rseq} (${event.type}) is not stored`);
    }
  }
  const last = journaled.at(-1)?.rseq ?? 0;
  for (const rseq of stored.keys())
    expect(rseq <= last, 'event_changed', `epoch ${epoch}: rseq ${rseq} is stored and was never journaled`);
  expect(ackedRseq <= Math.max(0, ...stored.keys()), 'event_lost', `epoch ${epoch}: ${ackedRseq} was acknowledged`);
  return violations;
};
