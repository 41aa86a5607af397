/** The history of a session that is over, from wherever it stands: verified objects first, then what the table still has alone. */
import { AppError } from '../../shared/errors.ts';
import type { SessionEvent } from '../../shared/events.ts';
import { EVENT_PAGE_MAX_BYTES } from '../../shared/limits.ts';
import type { Database } from '../database.ts';
import type { ObjectStore } from '../sessions/ports.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';
import { type ReadPart, readPart } from './archive-object.ts';
import { archiveStateOf, logPartAt } from './archive-rows.ts';
import { unpackEvents } from './segment-text.ts';
import { eventsOf, readEvents } from './segments.ts';

export interface HistoryPorts {
  readonly db: Database;
  readonly objects: ObjectStore;
}

const WORDS: Readonly<Record<Exclude<ReadPart['kind'], 'rows'>, string>> = {
  missing: 'This part of the history is not stored any more: ask for events after it.',
  damaged:
    'This part of the history cannot be read: its archive is damaged, and whoever runs the village has been told.',
};

/** The table has archived rows for some time still: what an object does not give is there as long. */
const fromTable = async (
  { db }: HistoryPorts,
  ref: SessionRef,
  seq: number,
  room: { events: number; bytes: number },
  why: keyof typeof WORDS,
): Promise<SessionEvent[]> => {
  const events = await readEvents(db, ref, seq, room.events, room.bytes);
  if (events[0]?.seq === seq) return events;
  throw new AppError('unavailable', WORDS[why]);
};

/**
 * Events with `seq >= fromSeq`, at most `limit`, fewer where they are large: the same pages as readEvents gives of a live session.
 * @throws AppError `unavailable` when neither object nor table has the next event
 */
export const readHistory = async (
  ports: HistoryPorts,
  ref: SessionRef,
  fromSeq: number,
  limit: number,
): Promise<SessionEvent[]> => {
  const { archivedSeq = 0 } = (await archiveStateOf(ports.db, ref)) ?? {};
  const events: SessionEvent[] = [];
  let sizeBytes = 0;
  let next = Math.max(1, fromSeq);
  const room = () => ({ events: limit - events.length, bytes: EVENT_PAGE_MAX_BYTES - sizeBytes });
  while (next <= archivedSeq) {
    const part = await logPartAt(ports.db, ref, next);
    const read: ReadPart = part === null ? { kind: 'missing' } : await readPart(ports.objects, part);
    if (read.kind !== 'rows') {
      if (events.length > 0) return events;
      return fromTable(ports, ref, next, room(), read.kind);
    }
    for (const row of read.rows) {
      const found = eventsOf({ ...row, pk: sessionPk(ref) }).filter(({ seq }) => seq >= next);
      if (found.length === 0) continue;
      sizeBytes += Buffer.byteLength(unpackEvents(row.events));
      if (sizeBytes > EVENT_PAGE_MAX_BYTES && events.length > 0) return events;
      events.push(...found.slice(0, limit - events.length));
      if (events.length >= limit) return events;
    }
    next = (part?.lastSeq ?? next) + 1;
  }
  const { events: most, bytes } = room();
  return bytes <= 0 ? events : [...events, ...(await readEvents(ports.db, ref, next, most, bytes))];
};
