/** Makes the recording that the player takes: chunks and events fetched, written as one asciicast in this page's memory. */
import type { SessionView } from '../../../shared/session.ts';
import { AsciicastWriter } from '../../../shared/viewer/asciicast.ts';
import { type CastMarker, CastMarkers } from '../../../shared/viewer/cast-markers.ts';
import { type CastPart, castParts } from '../../../shared/viewer/cast-parts.ts';
import { allTranscriptPages } from '../../../shared/viewer/transcript-pages.ts';
import { type ListedChunk, storedChunks } from '../../../shared/viewer/transcript-source.ts';
import { fetchEvents, fetchTranscript } from '../api/queries.ts';
import { readChunk } from '../session/load-transcript.ts';

const EVENTS_PER_PAGE = 1_000;
/** Pages of events looked through for marks; of a longer log the later ones are not marked. */
const EVENT_PAGES_MAX = 50;

export interface Listing {
  readonly parts: readonly CastPart<ListedChunk>[];
  readonly markers: readonly CastMarker[];
}

export interface Recording {
  /** A whole asciicast v2 file. */
  readonly text: string;
  /** As the file has them, in its order. */
  readonly marks: readonly { readonly timeSec: number; readonly label: string }[];
  readonly durationSec: number;
  /** Chunks that could not be read. */
  readonly unreadable: number;
}

/** What there is to play. Throws ApiError, and the signal's reason when aborted. */
export const listRecording = async (sessionId: string, signal: AbortSignal): Promise<Listing> => {
  const { chunks } = await allTranscriptPages((from) => fetchTranscript(sessionId, from, signal));
  const markers = new CastMarkers();
  for (let page = 0, fromSeq = 1; page < EVENT_PAGES_MAX; page += 1) {
    const { events, nextSeq, headSeq } = await fetchEvents(sessionId, fromSeq, EVENTS_PER_PAGE, signal);
    markers.add(events);
    if (nextSeq > headSeq || nextSeq <= fromSeq) break;
    fromSeq = nextSeq;
  }
  return { parts: castParts(chunks), markers: markers.list() };
};

/** Markers up to the end of a part belong to it; those before its first chunk the writer leaves out itself. */
const markersOf = ({ markers, parts }: Listing, part: number): CastMarker[] => {
  const next = parts[part + 1]?.chunks[0];
  if (next === undefined) return [...markers];
  return markers.filter(
    ({ epoch, offset }) => epoch < next.epoch || (epoch === next.epoch && offset < next.firstOffset),
  );
};

const readMarks = (lines: readonly string[]): Pick<Recording, 'marks' | 'durationSec'> => {
  const marks: { timeSec: number; label: string }[] = [];
  let durationSec = 0;
  for (const line of lines.slice(1)) {
    const [timeSec, code, data]: [number, string, string] = JSON.parse(line);
    durationSec = timeSec;
    if (code === 'm') marks.push({ timeSec, label: data });
  }
  return { marks, durationSec };
};

/** Fetches one part. `onProgress` is told how much of it is there, from 0 to 1. Throws as listRecording does. */
export const loadRecording = async (
  session: SessionView,
  listing: Listing,
  part: number,
  signal: AbortSignal,
  onProgress: (share: number) => void,
): Promise<Recording> => {
  const writer = new AsciicastWriter({ title: session.title, markers: markersOf(listing, part) });
  const chunks = listing.parts[part]?.chunks ?? [];
  const first = chunks[0];
  const lines: string[] = [];
  let unreadable = 0;
  let done = 0;
  const source = {
    fetchPage: (from: { epoch: number; offset: number }) => fetchTranscript(session.sessionId, from, signal),
    fetchChunk: (url: string) => readChunk(url, signal),
  };
  const from = { epoch: first?.epoch ?? 1, offset: first?.firstOffset ?? 0 };
  if (first !== undefined)
    for await (const { chunk } of storedChunks(source, from)) {
      signal.throwIfAborted();
      if (chunk === null) unreadable += 1;
      else lines.push(...writer.next(chunk));
      done += 1;
      onProgress(done / chunks.length);
      if (done === chunks.length) break;
    }
  lines.push(...writer.end({ cols: 80, rows: 24 }));
  return { text: lines.join(''), unreadable, ...readMarks(lines) };
};
