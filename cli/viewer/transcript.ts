/** The stored part of a session's terminal: chunks from object storage, drawn in order. */
import { Transcript, type TranscriptChunk } from '../../shared/http.ts';
import { readTranscriptChunk } from '../../shared/viewer/transcript-chunk.ts';
import { allTranscriptPages } from '../../shared/viewer/transcript-pages.ts';
import { type Replayed, replayChunks } from '../../shared/viewer/transcript-replay.ts';
import type { TranscriptSource } from '../../shared/viewer/transcript-source.ts';
import type { ApiClient } from '../api-client.ts';
import type { ScreenText } from './screen-text.ts';

const FETCH_TIMEOUT_MS = 30_000;

/** `null` for a chunk that is gone, late or damaged. */
const fetchChunk = async (url: string): Promise<TranscriptChunk | null> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    return response.ok ? await readTranscriptChunk(await response.arrayBuffer()) : null;
  } catch {
    // Counted by the replay, and told to the person.
    return null;
  }
};

/** What is stored of a session, chunk by chunk. */
export const transcriptSource = (api: ApiClient, sessionId: string): TranscriptSource => ({
  fetchPage: ({ epoch, offset }) =>
    api.get(`/api/sessions/${sessionId}/transcript?from=${epoch}:${offset}`, Transcript),
  fetchChunk,
});

/** Draws what is stored; resolves when all of it is on the screen. */
export const playTranscript = async (
  api: ApiClient,
  sessionId: string,
  screen: ScreenText,
): Promise<Replayed & { readonly live: boolean }> => {
  const { chunks, live } = await allTranscriptPages(transcriptSource(api, sessionId).fetchPage);
  const replayed = await replayChunks(
    chunks,
    ({ url }) => fetchChunk(url),
    (actions) => {
      screen.apply(actions);
      return screen.flush();
    },
  );
  return { ...replayed, live };
};
