/**
 * Moves the log of a session that is over to objects that never change. Each is read back and compared before the rows it holds
 * get their TTL: whatever goes wrong, the rows stay where they are and somebody is told.
 */
import type { Clock } from '../../shared/clock.ts';
import { ARCHIVE_KEEP_MS, ARCHIVE_OBJECT_MAX_BYTES } from '../../shared/limits.ts';
import { isFinal } from '../../shared/session.ts';
import type { Database, Item } from '../database.ts';
import type { ObjectStore } from '../sessions/ports.ts';
import { type SessionRef, type SessionStore, sessionPk } from '../sessions/session-store.ts';
import { packRows, readPart, storeVerified } from './archive-object.ts';
import {
  ARCHIVE_DUE_ATTRS,
  type ArchivedLog,
  type ArchiveState,
  archiveKey,
  archiveObjectKey,
  archiveStateOf,
  asidePartName,
  asidePartSk,
  logPartAt,
  logPartName,
  logPartSk,
} from './archive-rows.ts';
import { unpackEvents } from './segment-text.ts';
import { Segment, segmentSk } from './segments.ts';

export interface ArchivePorts {
  readonly db: Database;
  readonly sessions: Pick<SessionStore, 'head'>;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly newId: () => string;
}

/** Why rows keep their place in the table; the message names the session's own log only. */
export class ArchiveRefused extends Error {
  override readonly name = 'ArchiveRefused';
}

const ROWS_PAGE = 50;
/** Rows that get their TTL at once. */
const TTL_AT_ONCE = 10;

const sizeOf = (item: Item): number => Buffer.byteLength(unpackEvents(String(item.events)));

/** Rows of the session from sort key `from` to `to`, as many as one object takes. */
const gather = async (db: Database, ref: SessionRef, from: string, to: string): Promise<Item[]> => {
  const rows: Item[] = [];
  let sizeBytes = 0;
  let cursor: string | undefined;
  do {
    const page = await db.query({
      table: 'events',
      partition: sessionPk(ref),
      sort: { from, to },
      limit: ROWS_PAGE,
      consistent: true,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const item of page.items) {
      sizeBytes += sizeOf(item);
      if (sizeBytes > ARCHIVE_OBJECT_MAX_BYTES && rows.length > 0) return rows;
      rows.push(item);
    }
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined);
  return rows;
};

/** The log has no hole, and each segment holds the events that its key promises. */
const checked = (rows: readonly Item[], firstSeq: number): number => {
  let nextSeq = firstSeq;
  for (const row of rows) {
    const segment = Segment.parse(row);
    const events: unknown = JSON.parse(unpackEvents(segment.events));
    const isWhole = Array.isArray(events) && events.length === segment.lastSeq - segment.firstSeq + 1;
    if (segment.firstSeq !== nextSeq || !isWhole) throw new ArchiveRefused(`the log is broken at event ${nextSeq}`);
    nextSeq = segment.lastSeq + 1;
  }
  if (nextSeq === firstSeq) throw new ArchiveRefused(`the log has no event ${firstSeq}`);
  return nextSeq - 1;
};

const store = async (ports: ArchivePorts, ref: SessionRef, name: string, rows: readonly Item[]) => {
  const key = archiveObjectKey(ref, name, ports.newId());
  const stored = await storeVerified(ports.objects, key, await packRows(rows));
  if (stored === null) throw new ArchiveRefused(`object ${name} did not come back as it was stored`);
  return { ...stored, rows: rows.length, storedAtMs: ports.clock.nowMs() };
};

/** Only rows that are what was archived; one that is gone already was so by an earlier run. */
const expire = async (
  { db, clock }: ArchivePorts,
  ref: SessionRef,
  rows: readonly { sk: string; digest: string }[],
) => {
  const expiresAtSec = Math.ceil((clock.nowMs() + ARCHIVE_KEEP_MS) / 1_000);
  for (let at = 0; at < rows.length; at += TTL_AT_ONCE) {
    const written = await Promise.all(
      rows.slice(at, at + TTL_AT_ONCE).map(({ sk, digest }) =>
        db.write({
          kind: 'update',
          table: 'events',
          key: { pk: sessionPk(ref), sk },
          set: { expiresAtSec },
          conditions: [{ attr: 'digest', op: '=', value: digest }],
        }),
      ),
    );
    const other = written.find((result) => !result.ok && result.item !== null);
    if (other !== undefined) throw new ArchiveRefused('a row is not the one that was archived');
  }
};

/** The next part of the log into an object, and its place remembered; nothing in the table changes. */
const archiveNext = async (ports: ArchivePorts, ref: SessionRef, archivedSeq: number): Promise<void> => {
  const firstSeq = archivedSeq + 1;
  const rows = await gather(ports.db, ref, segmentSk(firstSeq), 'SEG#~');
  const lastSeq = checked(rows, firstSeq);
  const part = await store(ports, ref, logPartName(firstSeq), rows);
  const written = await ports.db.transact([
    {
      kind: 'put',
      table: 'sessions',
      item: { pk: sessionPk(ref), sk: logPartSk(firstSeq), ...part, firstSeq, lastSeq },
      conditions: [{ attr: 'pk', is: 'absent' }],
    },
    {
      kind: 'update',
      table: 'sessions',
      key: archiveKey(ref),
      set: { archivedSeq: lastSeq },
      conditions: [{ attr: 'archivedSeq', op: '=', value: archivedSeq, orAbsent: archivedSeq === 0 }],
    },
  ]);
  if (!written.ok) throw new Error(`another run archives ${ref.sessionId}`);
};

/** In place of one that can no longer be read: its rows are still there, as they never got their TTL. */
const replace = async (ports: ArchivePorts, ref: SessionRef, { firstSeq, lastSeq }: ArchivedLog): Promise<void> => {
  const rows = await gather(ports.db, ref, segmentSk(firstSeq), segmentSk(lastSeq));
  if (checked(rows, firstSeq) !== lastSeq) throw new ArchiveRefused(`the log is broken before event ${lastSeq}`);
  const part = await store(ports, ref, logPartName(firstSeq), rows);
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: { pk: sessionPk(ref), sk: logPartSk(firstSeq) },
    set: part,
  });
};

/** Sets the TTL of a part's rows, after it was read once more. */
const expireNext = async (ports: ArchivePorts, ref: SessionRef, expiringSeq: number): Promise<void> => {
  const part = await logPartAt(ports.db, ref, expiringSeq + 1);
  if (part === null) throw new ArchiveRefused(`no object holds event ${expiringSeq + 1}`);
  const read = await readPart(ports.objects, part);
  if (read.kind !== 'rows') {
    await replace(ports, ref, part);
    throw new ArchiveRefused(`the object with events from ${part.firstSeq} was ${read.kind} and is written anew`);
  }
  await expire(ports, ref, read.rows);
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: archiveKey(ref),
    set: { expiringSeq: part.lastSeq },
  });
};

const ASIDE_RANGES = [
  ['ANNEX#', 'ANNEX#~'],
  ['QUARANTINE#', 'QUARANTINE#~'],
] as const;

/** Batches that stand beside the log; a run that was cut short archives some of them twice, which loses nothing. */
const archiveAsides = async (ports: ArchivePorts, ref: SessionRef, known: number): Promise<number> => {
  let asides = known;
  for (const [from, to] of ASIDE_RANGES) {
    for (let after = from as string; ; ) {
      const rows = await gather(ports.db, ref, after, to);
      const last = rows.at(-1);
      if (last === undefined) break;
      after = `${String(last.sk)}\u0000`;
      const fresh = rows.filter(({ expiresAtSec }) => expiresAtSec === undefined);
      if (fresh.length === 0) continue;
      asides += 1;
      const part = await store(ports, ref, asidePartName(asides), fresh);
      await ports.db.write({
        kind: 'put',
        table: 'sessions',
        item: { pk: sessionPk(ref), sk: asidePartSk(asides), ...part },
      });
      await ports.db.write({ kind: 'update', table: 'sessions', key: archiveKey(ref), set: { asides } });
      await expire(
        ports,
        ref,
        fresh.map(({ sk, digest }) => ({ sk: String(sk), digest: String(digest) })),
      );
    }
  }
  return asides - known;
};

/** Unless something was added meanwhile: then it stays due, at its new time. */
const settle = (ports: ArchivePorts, ref: SessionRef, { archiveAtMs }: ArchiveState) =>
  ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: archiveKey(ref),
    set: { failures: 0 },
    remove: ARCHIVE_DUE_ATTRS,
    conditions: [{ attr: 'archiveAtMs', op: '=', value: archiveAtMs ?? 0 }],
  });

/**
 * Brings the archive of one session up to its log; again and again with the same outcome.
 * @returns `live` when the session is not over (any more rows of a closed epoch made it due): its end makes it due again
 * @throws ArchiveRefused when something is not as it must be; every row that is not proven to be archived is untouched
 */
export const archiveSession = async (ports: ArchivePorts, ref: SessionRef): Promise<'archived' | 'live'> => {
  const [state, head] = await Promise.all([archiveStateOf(ports.db, ref), ports.sessions.head(ref)]);
  if (state === null || state.archiveAtMs === undefined || head === null) return 'live';
  if (head.open || !isFinal(head.state)) {
    await settle(ports, ref, state);
    return 'live';
  }
  for (let now: ArchiveState = state; now.expiringSeq < head.seq; ) {
    if (now.expiringSeq < now.archivedSeq) await expireNext(ports, ref, now.expiringSeq);
    else await archiveNext(ports, ref, now.archivedSeq);
    now = (await archiveStateOf(ports.db, ref)) ?? now;
  }
  await archiveAsides(ports, ref, state.asides);
  await settle(ports, ref, state);
  return 'archived';
};
