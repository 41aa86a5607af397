/** The log of a session has every number once: seq from 1 without a hole, rseq from 1 within each epoch, and the heads agree with it. */
import type { SessionEvent } from '../../shared/events.ts';
import type { StoredSession } from './stored.ts';
import { findings, type Violation } from './violation.ts';

const checkSegments = ({ ref, segments }: StoredSession): Violation[] => {
  const { violations, expect } = findings({ ref });
  let nextSeq = 1;
  for (const segment of segments) {
    const { firstSeq, lastSeq, firstRseq, lastRseq, sk } = segment;
    expect(firstSeq === nextSeq, 'log_numbers', `${sk} begins at seq ${firstSeq}, expected ${nextSeq}`);
    expect(lastSeq >= firstSeq, 'log_numbers', `${sk} is empty`);
    const isNumbered = firstRseq === 0 ? lastRseq === 0 : lastRseq - firstRseq === lastSeq - firstSeq;
    expect(isNumbered, 'log_numbers', `${sk} has rseq ${firstRseq} to ${lastRseq} for seq ${firstSeq} to ${lastSeq}`);
    nextSeq = lastSeq + 1;
  }
  return violations;
};

/** Events of the runner, by epoch. */
export const runnerEvents = (events: readonly SessionEvent[]): Map<number, SessionEvent[]> => {
  const byEpoch = new Map<number, SessionEvent[]>();
  for (const event of events)
    if (event.rseq > 0) byEpoch.set(event.epoch, [...(byEpoch.get(event.epoch) ?? []), event]);
  return byEpoch;
};

export const checkLogNumbers = (session: StoredSession): Violation[] => {
  const { meta, head, events } = session;
  const { violations, expect } = findings(session);
  for (const [index, event] of events.entries()) {
    expect(event.seq === index + 1, 'log_numbers', `event ${index + 1} of the log has seq ${event.seq}`);
    const isOwn = event.sessionId === session.ref.sessionId && event.tenantId === session.ref.tenantId;
    expect(isOwn, 'log_numbers', `seq ${event.seq} belongs to ${event.tenantId}/${event.sessionId}`);
  }
  for (const [epoch, ofEpoch] of runnerEvents(events)) {
    const numbers = ofEpoch.map(({ rseq }) => rseq);
    const wrong = numbers.findIndex((rseq, index) => rseq !== index + 1);
    const isTwice = new Set(numbers).size < numbers.length;
    expect(
      wrong === -1,
      isTwice ? 'event_twice' : 'log_numbers',
      `epoch ${epoch}: event ${wrong + 1} of the runner has rseq ${numbers[wrong]}`,
    );
  }
  const acked = runnerEvents(events).get(head.epoch)?.length ?? 0;
  expect(head.ackedRseq === acked, 'log_numbers', `the head has ackedRseq ${head.ackedRseq}, the log ${acked}`);
  expect(head.seq === events.length, 'log_numbers', `the head is at seq ${head.seq}, the log at ${events.length}`);
  expect(meta.seq === head.seq, 'log_numbers', `META is at seq ${meta.seq}, the head at ${head.seq}`);
  return [...checkSegments(session), ...violations];
};
