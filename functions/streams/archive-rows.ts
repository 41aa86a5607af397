/** The rows of a session's archive: what is due, how far it has come, and which object holds which part of the log. */
import { z } from 'zod';
import { ARCHIVE_AFTER_MS, LIVE_INDEX_SHARDS } from '../../shared/limits.ts';
import type { Database, Item, Key, Update } from '../database.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';
import { objectPrefix } from '../sessions/stored-keys.ts';

const SEQ_DIGITS = 12;
const ASIDE_DIGITS = 6;
const count = z.int().min(0);

export const archiveKey = (ref: SessionRef): Key => ({ pk: sessionPk(ref), sk: 'ARCHIVE' });
/** Attributes of the sparse index of what is due. */
export const ARCHIVE_DUE_ATTRS = ['archiveShard', 'archiveAtMs'] as const;

export const ArchiveState = z.looseObject({
  /** When it is due; absent when nothing waits. */
  archiveAtMs: count.optional(),
  /** Every event up to this seq is in a verified object. */
  archivedSeq: count.default(0),
  /** Every segment up to this seq has its TTL. */
  expiringSeq: count.default(0),
  /** Objects with rows that stand beside the log. */
  asides: count.default(0),
  /** Runs in a row that failed. */
  failures: count.default(0),
});
export type ArchiveState = z.infer<typeof ArchiveState>;

/** An immutable object with rows of the events table as they stood there. */
export const ArchivedPart = z.looseObject({
  key: z.string(),
  /** Of the stored body. */
  sha256: z.string(),
  sizeBytes: count,
  rows: count,
  storedAtMs: count,
});
export type ArchivedPart = z.infer<typeof ArchivedPart>;
/** A part of the log itself, found by the seq of its first event. */
export const ArchivedLog = ArchivedPart.extend({ firstSeq: count, lastSeq: count });
export type ArchivedLog = z.infer<typeof ArchivedLog>;

const padded = (value: number, digits: number): string => String(value).padStart(digits, '0');
export const logPartSk = (firstSeq: number): string => `ARCHIVE#LOG#${padded(firstSeq, SEQ_DIGITS)}`;
export const asidePartSk = (number: number): string => `ARCHIVE#ASIDE#${padded(number, ASIDE_DIGITS)}`;
/** `id` is new for every attempt: an object is never written twice, and one that turned out damaged is never named again. */
export const archiveObjectKey = (ref: SessionRef, name: string, id: string): string =>
  `${objectPrefix(ref)}/archive/${name}-${id}.jsonl.gz`;
export const logPartName = (firstSeq: number): string => `log-${padded(firstSeq, SEQ_DIGITS)}`;
export const asidePartName = (number: number): string => `aside-${padded(number, ASIDE_DIGITS)}`;

export const archiveShardOf = (sessionId: string): string => {
  let sum = 0;
  for (const char of sessionId) sum = (sum * 31 + char.charCodeAt(0)) % 65_536;
  return `ARCHIVE#${sum % LIVE_INDEX_SHARDS}`;
};

/** Belongs into each transaction that adds rows to a session that is over, and into the one that ends it: nothing is forgotten so. */
export const archiveDue = (ref: SessionRef, nowMs: number): Update => ({
  kind: 'update',
  table: 'sessions',
  key: archiveKey(ref),
  set: {
    tenantId: ref.tenantId,
    sessionId: ref.sessionId,
    archiveShard: archiveShardOf(ref.sessionId),
    archiveAtMs: nowMs + ARCHIVE_AFTER_MS,
  },
});

export const archiveStateOf = async (db: Database, ref: SessionRef): Promise<ArchiveState | null> => {
  const item = await db.get('sessions', archiveKey(ref));
  return item === null ? null : ArchiveState.parse(item);
};

const REF = /^T#(?<tenantId>[^#]+)#S#(?<sessionId>[^#]+)$/;
const refOf = (item: Item): SessionRef[] => {
  const { tenantId, sessionId } = REF.exec(String(item.pk))?.groups ?? {};
  return tenantId === undefined || sessionId === undefined ? [] : [{ tenantId, sessionId }];
};

/** Sessions whose archive is due in a shard, the longest waiting first; the index is eventually consistent and keys only. */
export const dueArchives = async (
  db: Database,
  shard: number,
  nowMs: number,
  limit: number,
): Promise<readonly SessionRef[]> => {
  const page = await db.query({
    table: 'sessions',
    index: { name: 'archive', partition: 'archiveShard', sort: 'archiveAtMs' },
    partition: `ARCHIVE#${shard}`,
    sort: { to: nowMs },
    limit,
  });
  return page.items.flatMap(refOf);
};

/** The part of the log that holds `seq`, when one does. */
export const logPartAt = async (db: Database, ref: SessionRef, seq: number): Promise<ArchivedLog | null> => {
  const page = await db.query({
    table: 'sessions',
    partition: sessionPk(ref),
    sort: { from: logPartSk(0), to: logPartSk(seq) },
    limit: 1,
    descending: true,
  });
  const item = page.items[0];
  if (item === undefined) return null;
  const part = ArchivedLog.parse(item);
  return part.firstSeq <= seq && seq <= part.lastSeq ? part : null;
};
