/** Transcript chunks that committed events name: only these exist for a reader. */
import { z } from 'zod';
import type { EventOf, RunnerEvent } from '../../shared/events.ts';
import { type Database, type Put, queryAll } from '../database.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';

const CHUNKS_MAX = 20_000;
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

/** Everything a session stores lies below it. */
export const objectPrefix = ({ tenantId, sessionId }: SessionRef) => `tenants/${tenantId}/sessions/${sessionId}`;
/** The key is computed, never taken from the runner: a compromised one cannot name another tenant's object. */
export const chunkObjectKey = (ref: SessionRef, epoch: number, number: number): string =>
  `${objectPrefix(ref)}/transcript/${String(epoch).padStart(6, '0')}/${String(number).padStart(6, '0')}.json.gz`;
export const diffObjectKey = (ref: SessionRef, epoch: number, number: number): string =>
  `${objectPrefix(ref)}/diff/${String(epoch).padStart(6, '0')}/${String(number).padStart(6, '0')}.json`;
export const inputsObjectKey = (ref: SessionRef): string => `${objectPrefix(ref)}/inputs.json`;

/** Chunks that end after (epoch, offset), in order. */
export const listChunks = async (
  db: Database,
  ref: SessionRef,
  from: { epoch: number; offset: number },
): Promise<StoredChunk[]> => {
  const items = await queryAll(
    db,
    { table: 'sessions', partition: sessionPk(ref), sort: { from: chunkSk(from.epoch, 0), to: 'CHUNK#~' } },
    CHUNKS_MAX,
  );
  return items
    .map((item) => StoredChunk.parse(item))
    .filter((chunk) => chunk.epoch > from.epoch || chunk.endOffset > from.offset);
};
