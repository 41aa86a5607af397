/** Gives events their numbers and their place in the terminal, and makes sure that none can wedge the stream. */
import { createHash } from 'node:crypto';
import { EVENT_VERSION, type EventDraft, EventEnvelope, RunnerEventSchema } from '../../../shared/events.ts';
import { EVENT_MAX_BYTES } from '../../../shared/limits.ts';

export interface EventIdentity {
  readonly sessionId: string;
  readonly tenantId: string;
  readonly epoch: number;
}

/** Where and when an event happened. */
export interface EventPlace {
  readonly rseq: number;
  readonly ts: number;
  readonly offset: number;
}

const rejected = (draft: EventDraft, json: string, issue: string): EventDraft => ({
  type: 'event_rejected',
  originalType: draft.type,
  sizeBytes: Buffer.byteLength(json),
  sha256: createHash('sha256').update(json).digest('hex'),
  issue: issue.slice(0, 1_000),
});

/** The event as it is journaled; one that is too large or does not fit its schema becomes `event_rejected` with its hash. */
export const envelopeOf = (identity: EventIdentity, place: EventPlace, draft: EventDraft): EventEnvelope => {
  const { sessionId, tenantId, epoch } = identity;
  const wrap = (body: EventDraft) => ({ v: EVENT_VERSION, sessionId, tenantId, epoch, ...place, ...body });
  const json = JSON.stringify(wrap(draft));
  const sizeBytes = Buffer.byteLength(json);
  if (sizeBytes > EVENT_MAX_BYTES)
    return EventEnvelope.parse(wrap(rejected(draft, json, `${sizeBytes} bytes are more than an event may have`)));
  const parsed = RunnerEventSchema.safeParse(wrap(draft));
  if (parsed.success) return EventEnvelope.parse(parsed.data);
  const issue = parsed.error.issues[0];
  return EventEnvelope.parse(
    wrap(rejected(draft, json, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'does not fit'}`)),
  );
};
