/** The stored part of a session's terminal: chunks from object storage, put through a sink in order. */
import { gunzipSync } from 'node:zlib';
import { Transcript, TranscriptChunk } from '../../shared/http.ts';
import { TRANSCRIPT_CHUNK_MAX_BYTES } from '../../shared/limits.ts';
import type { ApiClient } from '../api-client.ts';
import { CliError } from '../cli-error.ts';
import { type Address, type TerminalSink, TerminalStream } from './terminal-stream.ts';

/** Unzipped size of one chunk: terminal output compresses well, a bomb does not get further than this. */
const CHUNK_UNZIPPED_MAX_BYTES = 16 * TRANSCRIPT_CHUNK_MAX_BYTES;
const FETCH_TIMEOUT_MS = 30_000;

const fetchChunk = async (url: string): Promise<TranscriptChunk> => {
  const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
  if (!response.ok) throw new CliError('failed', `A piece of the transcript could not be read (${response.status}).`);
  const body = Buffer.from(await response.arrayBuffer());
  const isZipped = body[0] === 0x1f && body[1] === 0x8b;
  const json = isZipped ? gunzipSync(body, { maxOutputLength: CHUNK_UNZIPPED_MAX_BYTES }) : body;
  const parsed = TranscriptChunk.safeParse(JSON.parse(json.toString('utf8')));
  if (!parsed.success) throw new CliError('bad_answer', 'A piece of the transcript has another shape.');
  return parsed.data;
};

/** Plays a chunk; its keyframe only where the stream does not continue from the chunk before. */
export const playChunk = (chunk: TranscriptChunk, stream: TerminalStream): void => {
  const { epoch, keyframe, firstOffset } = chunk;
  const at = stream.position;
  if (at === undefined || at.epoch !== epoch || at.offset < firstOffset) {
    const snapshotId = `${epoch}/${chunk.number}`;
    stream.snapshot({ ...keyframe, epoch, offset: firstOffset, snapshotId, part: 0, parts: 1 });
  }
  let size = { cols: keyframe.cols, rows: keyframe.rows };
  for (const part of chunk.parts) {
    if (part.k === 'r') size = { cols: part.cols, rows: part.rows };
    else stream.output({ epoch, offset: part.offset, data: part.data, ...size });
  }
};

export interface PlayedTranscript {
  /** Up to where the chunks went; undefined when there are none. */
  readonly end: Address | undefined;
  readonly head: Address;
  readonly live: boolean;
}

/** Plays everything that is stored into `sink`. */
export const playTranscript = async (
  api: ApiClient,
  sessionId: string,
  sink: TerminalSink,
): Promise<PlayedTranscript> => {
  const { chunks, head, live } = await api.get(`/api/sessions/${sessionId}/transcript`, Transcript);
  const stream = new TerminalStream(sink);
  for (const { url } of chunks) playChunk(await fetchChunk(url), stream);
  return { end: stream.position, head: { epoch: head.epoch, offset: head.offset }, live };
};
