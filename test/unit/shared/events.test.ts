import { describe, expect, test } from 'vitest';
import { EVENT_BODIES, EVENT_TYPES, RunnerEventSchema, SessionEventSchema } from '../../../shared/events.ts';
import { EVENT_MAX_BYTES } from '../../../shared/limits.ts';
import { fixture, fixtureNames, sizeBytes } from './fixtures.ts';

describe('recorded events', () => {
  test('there is exactly one of each type', () => {
    expect(fixtureNames('events')).toEqual([...EVENT_TYPES].sort());
  });

  test('no two stand at one place of the log', () => {
    const seqs = EVENT_TYPES.map((type) => fixture('events', type).seq);
    expect(new Set(seqs).size).toBe(EVENT_TYPES.length);
  });

  describe.each(EVENT_TYPES)('%s', (type) => {
    const event = fixture('events', type);

    test('is what its name says, parses and comes back byte for byte', () => {
      expect(event.type).toBe(type);
      expect(JSON.stringify(SessionEventSchema.parse(event))).toBe(JSON.stringify(event));
    });

    test('is the same without its seq on the way from the runner', () => {
      const { seq: _seq, ...sent } = event;
      expect(JSON.stringify(RunnerEventSchema.parse(sent))).toBe(JSON.stringify(sent));
      expect(RunnerEventSchema.safeParse(event).success).toBe(false);
      expect(SessionEventSchema.safeParse(sent).success).toBe(false);
    });

    test('refuses a field it does not know', () => {
      expect(SessionEventSchema.safeParse({ ...event, surprise: 1 }).success).toBe(false);
    });

    test('needs each field of its body that is not optional', () => {
      for (const [field, schema] of Object.entries(EVENT_BODIES[type])) {
        const { [field]: _left, ...rest } = event;
        expect(SessionEventSchema.safeParse(rest).success, field).toBe(schema.safeParse(undefined).success);
      }
    });

    test('is no larger than an event may be', () => {
      expect(sizeBytes(event)).toBeLessThanOrEqual(EVENT_MAX_BYTES);
    });
  });
});

describe('the envelope', () => {
  const event = fixture('events', 'provider_message');
  test.each([
    ['another version', { v: 2 }],
    ['no session', { sessionId: 'ses_1' }],
    ['a tenant that would leave its key', { tenantId: 'acme#S#x' }],
    ['epoch 0', { epoch: 0 }],
    ['a negative rseq', { rseq: -1 }],
    ['a fractional offset', { offset: 1.5 }],
    ['a time as text', { ts: '2026-01-01' }],
    ['an unknown type', { type: 'nothing' }],
    ['a text beyond its cap', { text: 'x'.repeat(8_001) }],
  ])('refuses %s', (_name, over) => {
    expect(SessionEventSchema.safeParse({ ...event, ...over }).success).toBe(false);
  });
});
