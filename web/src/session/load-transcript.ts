/** Fetches what is stored of a terminal and replays it, so that an ended or waiting session looks as it was left. */
import { TranscriptChunk } from '../../../shared/http.ts';
import { TRANSCRIPT_CHUNK_MAX_BYTES } from '../../../shared/limits.ts';
import type { StreamAddress } from '../../../shared/session.ts';
import { fetchTranscript } from '../api/queries.ts';
import type { TerminalQueue } from '../stream/terminal-queue.ts';
import { chunksToReplay, TranscriptReplay } from './transcript.ts';

/** Uncompressed JSON of one chunk; a compressed chunk may unpack to a multiple of its size. */
const UNPACKED_MAX_BYTES = TRANSCRIPT_CHUNK_MAX_BYTES * 8;

export interface ReplayResult {
  /** Where the terminal stands now; `null` when nothing is stored. */
  readonly at: StreamAddress | null;
  readonly head: { readonly epoch: number; readonly offset: number };
  /** The beginning was left out, as it was too long to replay. */
  readonly skipped: boolean;
  /** Chunks that could not be read. */
  readonly unreadable: number;
}

/** Throws ApiError when the list cannot be had, and the signal's reason when aborted. */
export const replayTranscript = async (
  sessionId: string,
  queue: Pick<TerminalQueue, 'apply'>,
  signal: AbortSignal,
): Promise<ReplayResult> => {
  const listing = await fetchTranscript(sessionId, { epoch: 1, offset: 0 }, signal);
  const { chunks, skipped } = chunksToReplay(listing.chunks);
  const replay = new TranscriptReplay();
  let unreadable = 0;
  for (const { url } of chunks) {
    const chunk = await readChunk(url, signal);
    signal.throwIfAborted();
    if (chunk === null) unreadable += 1;
    else queue.apply(replay.next(chunk));
  }
  return { at: replay.at, head: listing.head, skipped, unreadable };
};

/** `null` for a chunk that is gone or damaged: the next one begins with a keyframe of its own. */
const readChunk = async (url: string, signal: AbortSignal): Promise<TranscriptChunk | null> => {
  try {
    const response = await fetch(url, { signal, credentials: 'omit' });
    if (!response.ok) return null;
    const parsed = TranscriptChunk.safeParse(JSON.parse(await unpack(await response.arrayBuffer())));
    return parsed.success ? parsed.data : null;
  } catch {
    // Counted by the caller and told to the person.
    return null;
  }
};

/** A store may already have undone the compression on the way (Content-Encoding). */
const unpack = async (body: ArrayBuffer): Promise<string> => {
  const bytes = new Uint8Array(body);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return new TextDecoder().decode(bytes);
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (let size = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.byteLength;
    if (size > UNPACKED_MAX_BYTES) throw new Error('the chunk unpacks to more than a chunk may hold');
    text += decoder.decode(value, { stream: true });
  }
};
