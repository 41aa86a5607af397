/** What the replay shows: first what there is, then one part of it; another part or another session begins anew. */
import { useEffect, useState } from 'react';
import type { SessionView } from '../../../shared/session.ts';
import { type Listing, listRecording, loadRecording, type Recording } from './load-recording.ts';

export type RecordingState =
  | { readonly kind: 'loading'; readonly share: number }
  | { readonly kind: 'empty' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'ready'; readonly recording: Recording };

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Runs `load` until it is done or its inputs change; what it gives or throws reaches `onDone` and `onFailed` only while it counts. */
const whileShown = <T>(
  load: (signal: AbortSignal) => Promise<T>,
  onDone: (value: T) => void,
  onFailed: (message: string) => void,
): (() => void) => {
  const abort = new AbortController();
  load(abort.signal).then(
    (value) => abort.signal.aborted || onDone(value),
    (error: unknown) => abort.signal.aborted || onFailed(messageOf(error)),
  );
  return () => abort.abort(new Error('the replay was left'));
};

export const useRecording = (session: SessionView) => {
  const { sessionId } = session;
  const [attempt, setAttempt] = useState(0);
  const [part, setPart] = useState(0);
  const [listing, setListing] = useState<Listing | null>(null);
  const [state, setState] = useState<RecordingState>({ kind: 'loading', share: 0 });
  const failed = (message: string) => setState({ kind: 'failed', message });
  // A new attempt asks for what has been stored meanwhile, too.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the attempt is there to begin anew.
  useEffect(() => {
    setListing(null);
    setState({ kind: 'loading', share: 0 });
    return whileShown((signal) => listRecording(sessionId, signal), setListing, failed);
  }, [sessionId, attempt]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: of the session only its title counts, which stays.
  useEffect(() => {
    if (listing === null) return;
    if (listing.parts.length === 0) {
      setState({ kind: 'empty' });
      return;
    }
    setState({ kind: 'loading', share: 0 });
    return whileShown(
      (signal) => loadRecording(session, listing, part, signal, (share) => setState({ kind: 'loading', share })),
      (recording) => setState({ kind: 'ready', recording }),
      failed,
    );
  }, [listing, part]);
  const again = () => {
    setPart(0);
    setAttempt(attempt + 1);
  };
  return { state, parts: listing?.parts.length ?? 0, part, setPart, again };
};
