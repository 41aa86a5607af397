/** Fetches what is stored of a terminal and replays it, so that an ended or waiting session looks as it was left. */
import type { TranscriptChunk } from '../../../shared/http.ts';
import { readTranscriptChunk } from '../../../shared/viewer/transcript-chunk.ts';
import { allTranscriptPages } from '../../../shared/viewer/transcript-pages.ts';
import { type Replayed, replayChunks } from '../../../shared/viewer/transcript-replay.ts';
import { fetchTranscript } from '../api/queries.ts';
import type { TerminalQueue } from '../stream/terminal-queue.ts';

export interface ReplayResult extends Replayed {
  readonly head: { readonly epoch: number; readonly offset: number };
}

/** Throws ApiError when the list cannot be had, and the signal's reason when aborted. */
export const replayTranscript = async (
  sessionId: string,
  queue: Pick<TerminalQueue, 'apply'>,
  signal: AbortSignal,
): Promise<ReplayResult> => {
  const { chunks, head } = await allTranscriptPages((from) => fetchTranscript(sessionId, from, signal));
  const replayed = await replayChunks(
    chunks,
    ({ url }) => readChunk(url, signal),
    (actions) => queue.apply(actions),
  );
  return { ...replayed, head };
};

/** `null` for a chunk that is gone or damaged; throws the signal's reason when aborted. */
export const readChunk = async (url: string, signal: AbortSignal): Promise<TranscriptChunk | null> => {
  try {
    const response = await fetch(url, { signal, credentials: 'omit' });
    return response.ok ? await readTranscriptChunk(await response.arrayBuffer()) : null;
  } catch {
    signal.throwIfAborted();
    // Counted by the replay and told to the person.
    return null;
  }
};
