/**
 * A session's stored terminal as one asciicast, made once and kept beside the chunks it was made of. A request has seconds and the
 * memory of a function: a longer session is made into a file by the command line, chunk by chunk.
 */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import { TranscriptChunk, type TranscriptRecording } from '../../shared/http.ts';
import {
  CAST_REQUEST_MAX_BYTES,
  TRANSCRIPT_CHUNK_MAX_BYTES,
  TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES,
  TRANSCRIPT_PAGE_MAX,
  UPLOAD_GRANT_TTL_MS,
} from '../../shared/limits.ts';
import type { StreamAddress } from '../../shared/session.ts';
import { AsciicastWriter } from '../../shared/viewer/asciicast.ts';
import { type CastMarker, CastMarkers } from '../../shared/viewer/cast-markers.ts';
import { sha256Hex } from '../hash.ts';
import { listChunks, recordingObjectKey, type StoredChunk } from '../streams/chunks.ts';
import { getEvents, type ReadPorts } from './read-session.ts';
import type { SessionRecord, SessionRef } from './session-store.ts';

export interface RecordingPorts extends ReadPorts {
  readonly clock: Clock;
}

/** Pages of events that are looked through for markers; of a longer log the later ones are not marked. */
const EVENT_PAGES_MAX = 50;
const EVENTS_PER_PAGE = 1_000;

const markersOf = async (ports: ReadPorts, ref: SessionRef): Promise<CastMarker[]> => {
  const markers = new CastMarkers();
  for (let page = 0, fromSeq = 1; page < EVENT_PAGES_MAX; page += 1) {
    const { events, nextSeq, headSeq } = await getEvents(ports, ref, { fromSeq, limit: EVENTS_PER_PAGE });
    markers.add(events);
    if (nextSeq > headSeq || nextSeq <= fromSeq) break;
    fromSeq = nextSeq;
  }
  return markers.list();
};

/** `null` for an object that is gone or not a chunk: the next one begins with a screen of its own. */
const chunkOf = async ({ objects }: ReadPorts, { key }: StoredChunk): Promise<TranscriptChunk | null> => {
  const body = await objects.getBytes(key, TRANSCRIPT_CHUNK_MAX_BYTES);
  if (body === null) return null;
  try {
    const json = gunzipSync(body, { maxOutputLength: TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES }).toString('utf8');
    return TranscriptChunk.parse(JSON.parse(json));
  } catch {
    // The runner stored it: what it says is not trusted, and one bad chunk must not take the others away.
    return null;
  }
};

const chunksFrom = async (ports: ReadPorts, ref: SessionRef, from: StreamAddress): Promise<StoredChunk[]> => {
  const all: StoredChunk[] = [];
  for (let at = from; ; ) {
    const { chunks, more } = await listChunks(ports.db, ref, at, TRANSCRIPT_PAGE_MAX);
    all.push(...chunks);
    const last = all.at(-1);
    if (!more || last === undefined) return all;
    at = { epoch: last.epoch, offset: last.endOffset };
  }
};

const write = async (
  ports: ReadPorts,
  ref: SessionRef,
  { meta }: SessionRecord,
  chunks: readonly StoredChunk[],
): Promise<Uint8Array> => {
  const writer = new AsciicastWriter({ title: meta.title, markers: await markersOf(ports, ref) });
  const lines: string[] = [];
  for (const stored of chunks) {
    const chunk = await chunkOf(ports, stored);
    if (chunk !== null) lines.push(...writer.next(chunk));
  }
  lines.push(...writer.end(meta.config.terminal));
  return Buffer.from(lines.join(''));
};

/**
 * @returns where the recording lies, for UPLOAD_GRANT_TTL_MS
 * @throws AppError `not_found`; `payload_too_large` with what to do instead
 */
export const getRecording = async (
  ports: RecordingPorts,
  ref: SessionRef,
  from: StreamAddress,
): Promise<z.infer<typeof TranscriptRecording>> => {
  const record = await ports.sessions.record(ref);
  if (record === null) throw new AppError('not_found', 'There is no such session.');
  const chunks = await chunksFrom(ports, ref, from);
  const sizeBytes = chunks.reduce((sum, { firstOffset, endOffset }) => sum + endOffset - firstOffset, 0);
  if (sizeBytes > CAST_REQUEST_MAX_BYTES)
    throw new AppError(
      'payload_too_large',
      `The session printed ${sizeBytes} bytes, more than one request makes a recording of: village sessions replay ${ref.sessionId} --cast FILE writes it, or ask from a later address.`,
    );
  /** What it is made of names it: the same question about the same session finds what was made before. */
  const last = chunks.at(-1);
  const parts = [from.epoch, from.offset, last?.epoch, last?.number, chunks.length, record.head.seq];
  const key = recordingObjectKey(ref, sha256Hex(parts.join('/')).slice(0, 32));
  if ((await ports.objects.getBytes(key, 0)) === null) {
    const body = await write(ports, ref, record, chunks);
    const sha256Base64 = createHash('sha256').update(body).digest('base64');
    await ports.objects.putOnce({ key, body, sha256Base64, contentType: 'application/x-asciicast' });
  }
  const url = await ports.objects.presignGet(key, UPLOAD_GRANT_TTL_MS);
  return { url, expiresAt: new Date(ports.clock.nowMs() + UPLOAD_GRANT_TTL_MS).toISOString() };
};
