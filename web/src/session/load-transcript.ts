/** Fetches what is stored of a terminal and replays it, so that an ended or waiting session looks as it was left. */
import type { TranscriptChunk } from '../../../shared/http.ts';
import type { StreamAddress } from '../../../shared/session.ts';
import { readTranscriptChunk } from '../../../shared/viewer/transcript-chunk.ts';
import { chunksToReplay, TranscriptReplay } from '../../../shared/viewer/transcript-replay.ts';
import { fetchTranscript } from '../api/queries.ts';
import type { TerminalQueue } from '../stream/terminal-queue.ts';

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
    return response.ok ? await readTranscriptChunk(await response.arrayBuffer()) : null;
  } catch {
    // Counted by the caller and told to the person.
    return null;
  }
};
