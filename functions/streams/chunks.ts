/** Transcript chunks that committed events name: only these exist for a reader. */
import { z } from 'zod';
import type { EventOf, RunnerEvent } from '../../shared/events.ts';
import type { StreamAddress } from '../../shared/session.ts';
import type { Database, Put } from '../database.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';
import { objectPrefix } from '../sessions/stored-keys.ts';

const CHUNKS_PAGE = 500;
const chunkSk = (epoch: number, number: number) =>
  `CHUNK#${String(epoch).padStart(6, '0')}#${String(number).padStart(6, '0')}`;

export const StoredChunk = z.looseObject({
  epoch: z.int(),
  number: z.int(),
  firstOffset: z.int(),
  endOffset: z.int(),
  key: z.string(),
  sizeBytes: z.int(),
  sha256: z.string(),
});
export type StoredChunk = z.infer<typeof StoredChunk>;

export const chunkPut = (
  ref: SessionRef,
  event: Extract<RunnerEvent, { type: 'transcript_chunk_stored' }> | EventOf<'transcript_chunk_stored'>,
): Put => ({
  kind: 'put',
  table: 'sessions',
  item: {
    pk: sessionPk(ref),
    sk: chunkSk(event.epoch, event.number),
    epoch: event.epoch,
    number: event.number,
    firstOffset: event.firstOffset,
    endOffset: event.endOffset,
    key: chunkObjectKey(ref, event.epoch, event.number),
    sizeBytes: event.sizeBytes,
    sha256: event.sha256,
  },
});

/** The key is computed, never taken from the runner: a compromised one cannot name another tenant's object. */
export const chunkObjectKey = (ref: SessionRef, epoch: number, number: number): string =>
  `${objectPrefix(ref)}/transcript/${String(epoch).padStart(6, '0')}/${String(number).padStart(6, '0')}.json.gz`;
export const diffObjectKey = (ref: SessionRef, epoch: number, number: number): string =>
  `${objectPrefix(ref)}/diff/${String(epoch).padStart(6, '0')}/${String(number).padStart(6, '0')}.json`;
/** An asciicast of what was stored when it was asked for; `name` says of what. */
export const recordingObjectKey = (ref: SessionRef, name: string): string =>
  `${objectPrefix(ref)}/recordings/${name}.cast`;
export const checkpointObjectKey = (ref: SessionRef, epoch: number, number: number): string =>
  `${objectPrefix(ref)}/checkpoints/${String(epoch).padStart(6, '0')}-${String(number).padStart(6, '0')}.tar.gz`;
export const inputsObjectKey = (ref: SessionRef): string => `${objectPrefix(ref)}/inputs.json`;

const EPOCH_END = 999_999;
const rowOf = async (db: Database, ref: SessionRef, from: string, to: string, descending: boolean) => {
  const page = await db.query({
    table: 'sessions',
    partition: sessionPk(ref),
    sort: { from, to },
    limit: 1,
    descending,
  });
  return page.items[0] === undefined ? null : StoredChunk.parse(page.items[0]);
};

/**
 * Sort key from which every chunk that ends after the address is listed. Numbers and offsets rise together, so halving finds it: a
 * flood makes tens of thousands of chunks, and each page of them must not read all before it.
 */
const firstAfter = async (db: Database, ref: SessionRef, { epoch, offset }: StreamAddress): Promise<string> => {
  if (offset === 0) return chunkSk(epoch, 0);
  const last = await rowOf(db, ref, chunkSk(epoch, 0), chunkSk(epoch, EPOCH_END), true);
  if (last === null || last.endOffset <= offset) return chunkSk(epoch + 1, 0);
  let low = 0;
  let high = last.number;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const row = await rowOf(db, ref, chunkSk(epoch, middle), chunkSk(epoch, high), false);
    if (row === null || row.endOffset > offset) high = middle;
    else low = row.number + 1;
  }
  return chunkSk(epoch, low);
};

/** Chunks that end after (epoch, offset), in order, at most `limit`. */
export const listChunks = async (
  db: Database,
  ref: SessionRef,
  from: StreamAddress,
  limit: number,
): Promise<{ chunks: StoredChunk[]; more: boolean }> => {
  const chunks: StoredChunk[] = [];
  const first = await firstAfter(db, ref, from);
  let cursor: string | undefined;
  do {
    const page = await db.query({
      table: 'sessions',
      partition: sessionPk(ref),
      sort: { from: first, to: 'CHUNK#~' },
      limit: Math.min(CHUNKS_PAGE, limit + 1),
      ...(cursor === undefined ? {} : { cursor }),
    });
    const stored = page.items.map((item) => StoredChunk.parse(item));
    chunks.push(...stored.filter((chunk) => chunk.epoch > from.epoch || chunk.endOffset > from.offset));
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined && chunks.length <= limit);
  return { chunks: chunks.slice(0, limit), more: chunks.length > limit };
};
