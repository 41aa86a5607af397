/** What of a late batch does not stand beside the log yet: batches of its epoch may have come with other borders before. */
import { z } from 'zod';
import { batchDigestInput } from '../../shared/batch.ts';
import { EventEnvelope } from '../../shared/events.ts';
import { BATCH_MAX_EVENTS } from '../../shared/limits.ts';
import { type Database, type Item, queryAll } from '../database.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';
import type { Batch } from './ingest-batch.ts';
import { annexSk } from './segments.ts';

const Events = z.array(EventEnvelope);
const eventsOf = ({ events }: Item): EventEnvelope[] => Events.parse(JSON.parse(z.string().parse(events)));

/** The order of keys says nothing. */
const canonical = (event: EventEnvelope): string =>
  batchDigestInput({ sessionId: '', epoch: 0, firstRseq: 0, events: [event] });

/** @returns `null` where another event stands under one of its numbers */
export const unkeptEvents = async (
  db: Database,
  ref: SessionRef,
  { epoch, firstRseq, events }: Batch,
): Promise<readonly EventEnvelope[] | null> => {
  const from = annexSk({ epoch, firstRseq: Math.max(1, firstRseq - BATCH_MAX_EVENTS + 1) });
  const to = annexSk({ epoch, firstRseq: firstRseq + events.length - 1 });
  const near = { table: 'events', partition: sessionPk(ref), sort: { from, to } } as const;
  /** Each begins at a number of its own. */
  const standing = await queryAll(db, near, 2 * BATCH_MAX_EVENTS);
  const kept = new Map(standing.flatMap(eventsOf).map((event) => [event.rseq, canonical(event)]));
  const isOther = events.some((event) => kept.has(event.rseq) && kept.get(event.rseq) !== canonical(event));
  return isOther ? null : events.filter(({ rseq }) => !kept.has(rseq));
};
