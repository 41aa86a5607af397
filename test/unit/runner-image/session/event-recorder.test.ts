import { describe, expect, it } from 'vitest';
import { envelopeOf } from '../../../../runner-image/src/session/event-recorder.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { EVENT_MAX_BYTES } from '../../../../shared/limits.ts';

const identity = { sessionId: 'ses_01J0000000000000000000000A', tenantId: 'local', epoch: 3 };
const place = { rseq: 7, ts: 5, offset: 12 };

describe('envelopeOf', () => {
  it('numbers and places an event', () => {
    const event = envelopeOf(identity, place, { type: 'provider_idle', turnsDone: 2 });
    expect(event).toEqual({ v: 1, ...identity, ...place, type: 'provider_idle', turnsDone: 2 });
  });

  it('replaces what is too large by its hash', () => {
    const draft: EventDraft = { type: 'provider_message', role: 'assistant', text: 'ä'.repeat(EVENT_MAX_BYTES / 2) };
    const event = envelopeOf(identity, place, draft);
    expect(event).toMatchObject({ type: 'event_rejected', originalType: 'provider_message', rseq: 7 });
    expect(Number(event.sizeBytes)).toBeGreaterThan(EVENT_MAX_BYTES);
    expect(event.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it('replaces what does not fit its schema', () => {
    const event = envelopeOf(identity, place, { type: 'provider_idle', turnsDone: -1 });
    expect(event).toMatchObject({
      type: 'event_rejected',
      originalType: 'provider_idle',
      issue: expect.stringContaining('turnsDone'),
    });
  });
});
