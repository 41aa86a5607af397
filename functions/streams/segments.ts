/** The event log: one item per committed batch (a segment), found by the seq of its first event; the annex of closed epochs beside it. */
import { z } from 'zod';
import { type SessionEvent, SessionEventSchema } from '../../shared/events.ts';
import { EVENT_PAGE_MAX_BYTES } from '../../shared/limits.ts';
import type { Database, Item, Put } from '../database.ts';
import { refOfKey, type SessionRef, sessionPk } from '../sessions/session-store.ts';
import { packEvents, unpackEvents } from './segment-text.ts';

const SEQ_DIGITS = 12;
const padded = (value: number) => String(value).padStart(SEQ_DIGITS, '0');
export const segmentSk = (firstSeq: number) => `SEG#${padded(firstSeq)}`;

export const Segment = z.looseObject({
  pk: z.string(),
  sk: z.string(),
  epoch: z.int(),
  /** 0 where the control plane wrote the events. */
  firstRseq: z.int(),
  lastRseq: z.int(),
  firstSeq: z.int(),
  lastSeq: z.int(),
  digest: z.string(),
  /**
   * JSON array of SessionEvent without what the item says for all of them: one attribute, so that an item's size is known and no
   * marshalling changes a number; packed as segment-text.ts says.
   */
  events: z.string(),
  committedAtMs: z.int(),
});
export type Segment = z.infer<typeof Segment>;

export interface SegmentDraft {
  readonly epoch: number;
  readonly firstRseq: number;
  readonly digest: string;
  readonly events: readonly SessionEvent[];
  readonly firstSeq: number;
  readonly committedAtMs: number;
}

const withoutScope = ({ sessionId: _session, tenantId: _tenant, epoch: _epoch, ...event }: SessionEvent) => event;

export const segmentPut = (ref: SessionRef, draft: SegmentDraft): Put => ({
  kind: 'put',
  table: 'events',
  item: {
    pk: sessionPk(ref),
    sk: segmentSk(draft.firstSeq),
    epoch: draft.epoch,
    firstRseq: draft.firstRseq,
    lastRseq: draft.firstRseq === 0 ? 0 : draft.firstRseq + draft.events.length - 1,
    firstSeq: draft.firstSeq,
    lastSeq: draft.firstSeq + draft.events.length - 1,
    digest: draft.digest,
    events: packEvents(JSON.stringify(draft.events.map(withoutScope))),
    committedAtMs: draft.committedAtMs,
  },
  conditions: [{ attr: 'pk', is: 'absent' }],
});

/** A batch that is kept beside the log: without a seq, and without changing the projection. */
export interface AsideDraft {
  readonly epoch: number;
  readonly firstRseq: number;
  readonly digest: string;
  /** As the batch carried them. */
  readonly events: readonly unknown[];
  readonly committedAtMs: number;
}

const asidePut = (ref: SessionRef, sk: string, draft: AsideDraft): Put => ({
  kind: 'put',
  table: 'events',
  item: {
    pk: sessionPk(ref),
    sk,
    epoch: draft.epoch,
    firstRseq: draft.firstRseq,
    digest: draft.digest,
    events: JSON.stringify(draft.events),
    committedAtMs: draft.committedAtMs,
  },
  conditions: [{ attr: 'pk', is: 'absent' }],
});

const batchName = ({ epoch, firstRseq }: Pick<AsideDraft, 'epoch' | 'firstRseq'>) =>
  `${String(epoch).padStart(6, '0')}#${padded(firstRseq)}`;

export const annexSk = (batch: Pick<AsideDraft, 'epoch' | 'firstRseq'>): string => `ANNEX#${batchName(batch)}`;

/** A late batch of a closed epoch: put once. */
export const annexPut = (ref: SessionRef, draft: AsideDraft): Put => asidePut(ref, annexSk(draft), draft);

/** A batch that came again under the same number with other contents: evidence, never part of the log. */
export const quarantinePut = (ref: SessionRef, draft: AsideDraft): Put =>
  asidePut(ref, `QUARANTINE#${batchName(draft)}#${draft.digest}`, draft);

const EventArray = z.array(SessionEventSchema);
const Stored = z.array(z.looseObject({}));
/** Events of a segment, whole again; older segments have each event whole. */
const segmentEvents = ({ pk, epoch, events }: Pick<Segment, 'pk' | 'epoch' | 'events'>): SessionEvent[] => {
  const ref = refOfKey({ pk });
  return EventArray.parse(Stored.parse(JSON.parse(unpackEvents(events))).map((event) => ({ ...ref, epoch, ...event })));
};
export const eventsOf = (item: Item): SessionEvent[] => segmentEvents(Segment.parse(item));

/**
 * Events with `seq >= fromSeq` that stand in the table, at most `limit` (whole segments are read, the page is then cut) and fewer where
 * they are large. What was archived may be gone from here: readHistory reads both.
 * @returns events in order of seq, without gap
 */
export const readEvents = async (
  db: Database,
  ref: SessionRef,
  fromSeq: number,
  limit: number,
  maxBytes = EVENT_PAGE_MAX_BYTES,
): Promise<SessionEvent[]> => {
  const events: SessionEvent[] = [];
  const before = await db.query({
    table: 'events',
    partition: sessionPk(ref),
    sort: { from: 'SEG#', to: segmentSk(fromSeq) },
    limit: 1,
    descending: true,
  });
  let from = String(before.items[0]?.sk ?? segmentSk(fromSeq));
  let sizeBytes = 0;
  while (events.length < limit) {
    const page = await db.query({ table: 'events', partition: sessionPk(ref), sort: { from, to: 'SEG#~' }, limit: 50 });
    for (const item of page.items) {
      sizeBytes += Buffer.byteLength(unpackEvents(String(item.events)));
      if (sizeBytes > maxBytes && events.length > 0) return events.slice(0, limit);
      events.push(...eventsOf(item).filter((event) => event.seq >= fromSeq));
    }
    if (page.cursor === null) break;
    from = `${String(page.items.at(-1)?.sk)}\u0000`;
  }
  return events.slice(0, limit);
};
