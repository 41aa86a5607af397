/** Events once each, in order, bounded, with holes known. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VIEWER_EVENTS_MAX } from '../../../../shared/limits.ts';
import { addEvents, EMPTY_EVENT_LOG, firstHole } from '../../../../web/src/session/event-log.ts';
import { mockEvents, mockSession } from '../../../e2e/mock/mock-data.ts';

const events = mockEvents(
  mockSession(1),
  Array.from({ length: 30 }, () => ({ type: 'provider_idle', turnsDone: 1 })),
);
const seqs = (log: typeof EMPTY_EVENT_LOG) => log.events.map(({ seq }) => seq);

describe('addEvents', () => {
  it('gives the same log for any order and any repeats', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 0, max: 29 }), { maxLength: 8 }), { maxLength: 12 }),
        (batches) => {
          const log = batches.reduce(
            (before, batch) =>
              addEvents(
                before,
                batch.flatMap((index) => events[index] ?? []),
              ),
            EMPTY_EVENT_LOG,
          );
          expect(seqs(log)).toEqual([...new Set(batches.flat())].map((index) => index + 1).sort((a, b) => a - b));
        },
      ),
    );
  });

  it('keeps the newest over its cap, or the oldest when asked for older ones', () => {
    const [event] = events;
    if (event === undefined) throw new Error('no events');
    const many = Array.from({ length: VIEWER_EVENTS_MAX + 5 }, (_, index) => ({ ...event, seq: index + 1 }));
    expect(seqs(addEvents(EMPTY_EVENT_LOG, many))[0]).toBe(6);
    expect(seqs(addEvents(EMPTY_EVENT_LOG, many, 'oldest')).at(-1)).toBe(VIEWER_EVENTS_MAX);
  });
});

describe('firstHole', () => {
  const log = (...wanted: number[]) =>
    addEvents(
      EMPTY_EVENT_LOG,
      events.filter(({ seq }) => wanted.includes(seq)),
    );

  it('names the first number missing up to the head', () => {
    expect(firstHole(log(3, 4, 6), 6)).toBe(5);
    expect(firstHole(log(3, 4, 5), 7)).toBe(6);
    expect(firstHole(log(3, 4, 5), 5)).toBeNull();
    expect(firstHole(EMPTY_EVENT_LOG, 0)).toBeNull();
    expect(firstHole(EMPTY_EVENT_LOG, 2)).toBe(1);
  });
});
