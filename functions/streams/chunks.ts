/** Transcript chunks that committed events name: only these exist for a reader. */
import { z } from 'zod';
import type { EventOf, RunnerEvent } from '../../shared/events.ts';
import type { Database, Put } from '../database.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';

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

/** Everything a session stores lies below it. */
export const objectPrefix = ({ tenantId, sessionId }: SessionRef) => `tenants/${tenantId}/sessions/${sessionId}`;
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

/** Chunks that end after (epoch, offset), in order, at most `limit`. */
export const listChunks = async (
  db: Database,
  ref: SessionRef,
  from: { epoch: number; offset: number },
  limit: number,
): Promise<{ chunks: StoredChunk[]; more: boolean }> => {
  const chunks: StoredChunk[] = [];
  let cursor: string | undefined;
  do {
    const page = await db.query({
      table: 'sessions',
      partition: sessionPk(ref),
      sort: { from: chunkSk(from.epoch, 0), to: 'CHUNK#~' },
      limit: CHUNKS_PAGE,
      ...(cursor === undefined ? {} : { cursor }),
    });
    const stored = page.items.map((item) => StoredChunk.parse(item));
    chunks.push(...stored.filter((chunk) => chunk.epoch > from.epoch || chunk.endOffset > from.offset));
    cursor = page.cursor ?? undefined;
  } while (cursor !== undefined && chunks.length <= limit);
  return { chunks: chunks.slice(0, limit), more: chunks.length > limit };
};
