import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BatchIdentity, batchDigestInput } from '../../../shared/batch.ts';
import { EVENT_TYPES, EventEnvelope } from '../../../shared/events.ts';
import { fixture } from './fixtures.ts';

const recorded = EVENT_TYPES.map((type) => EventEnvelope.parse(fixture('events', type)));
const batch = (events: readonly EventEnvelope[]): BatchIdentity => ({
  sessionId: 'ses_01JH4Z7Q8M3V5T9XKCBW2E6RNA',
  epoch: 1,
  firstRseq: 1,
  events,
});

/** The same value with every object's keys in the opposite order. */
const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, field]) => [key, reversed(field)]),
  );
};
/** zod leaves out a field of an event itself that is named `__proto__`; no event has one. */
const key = fc.string().filter((name) => name !== '__proto__');
const anyEvent = fc
  .tuple(fc.constantFrom(...recorded), fc.dictionary(key, fc.jsonValue()))
  .map(([event, more]) => ({ ...more, ...event, body: more }));

describe('what a digest is taken of', () => {
  test('does not depend on the order of keys, at any depth', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 5 }), (events) => {
        const turned = events.map((event) => EventEnvelope.parse(reversed(event)));
        expect(batchDigestInput(batch(turned))).toBe(batchDigestInput(batch(events)));
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  test('outlives JSON: what ingest parsed has the digest that the runner sealed', () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 5 }), (events) => {
        const received = EventEnvelope.array().parse(JSON.parse(JSON.stringify(events)));
        expect(batchDigestInput(batch(received))).toBe(batchDigestInput(batch(events)));
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  test('leaves out fields that are undefined, as JSON does', () => {
    const [first] = recorded;
    if (first === undefined) throw new Error('no example');
    expect(batchDigestInput(batch([{ ...first, nothing: undefined }]))).toBe(batchDigestInput(batch([first])));
  });

  test('differs when anything differs', () => {
    const inputs = [
      batch(recorded),
      { ...batch(recorded), epoch: 2 },
      { ...batch(recorded), firstRseq: 2 },
      { ...batch(recorded), sessionId: 'ses_01JH4Z7Q8M3V5T9XKCBW2E6RNB' },
      batch(recorded.slice(1)),
      batch([...recorded].reverse()),
      batch(recorded.map((event) => ({ ...event, offset: event.offset + 1 }))),
    ].map(batchDigestInput);
    expect(new Set(inputs).size).toBe(inputs.length);
  });
});
