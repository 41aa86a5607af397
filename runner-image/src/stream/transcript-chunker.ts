/** Cuts the redacted stream into transcript chunks that can be replayed on their own: a keyframe and what follows it. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Clock } from '../../../shared/clock.ts';
import type { TranscriptChunk } from '../../../shared/http.ts';
import {
  TRANSCRIPT_CHUNK_UNWATCHED_BYTES,
  TRANSCRIPT_CHUNK_UNWATCHED_MS,
  TRANSCRIPT_CHUNK_WATCHED_BYTES,
  TRANSCRIPT_CHUNK_WATCHED_MS,
} from '../../../shared/limits.ts';
import type { Snapshot, SnapshotResult } from './stream-screen.ts';
import type { OutputPiece } from './terminal-stream.ts';

/** A closed chunk on its way to storage; its body is the gzipped JSON of shared/http.ts `TranscriptChunk`. */
export interface ClosedChunk {
  readonly epoch: number;
  /** Counts from 0 in each epoch. */
  readonly number: number;
  readonly firstOffset: number;
  readonly endOffset: number;
  readonly body: Buffer;
  readonly sizeBytes: number;
  /** Of the body, as S3 wants it. */
  readonly sha256Base64: string;
}

export type ChunkDecision = 'close' | 'keep';
/** Whether a chunk of this size and age is complete. */
export const decideChunk = (sizeBytes: number, ageMs: number, isWatched: boolean): ChunkDecision => {
  if (sizeBytes === 0) return 'keep';
  const maxBytes = isWatched ? TRANSCRIPT_CHUNK_WATCHED_BYTES : TRANSCRIPT_CHUNK_UNWATCHED_BYTES;
  const maxMs = isWatched ? TRANSCRIPT_CHUNK_WATCHED_MS : TRANSCRIPT_CHUNK_UNWATCHED_MS;
  return sizeBytes >= maxBytes || ageMs >= maxMs ? 'close' : 'keep';
};

export interface TranscriptChunker {
  push(piece: OutputPiece): void;
  setWatched(isWatched: boolean): void;
  /** Closes the last chunk; resolves when it was handed over. */
  end(): Promise<void>;
}

export interface TranscriptChunkerOptions {
  readonly sessionId: string;
  readonly clock: Clock;
  /** The keyframe the first chunk starts with, and its number (chunks before it are stored already). */
  readonly start: Snapshot;
  readonly number: number;
  readonly snapshot: () => Promise<SnapshotResult>;
  /** In order; the next chunk is not closed before this one was taken. */
  readonly onChunk: (chunk: ClosedChunk) => void;
}

/** The pieces below `offset` (a piece across it is cut there) and the others. */
const cutAt = (pieces: readonly OutputPiece[], offset: number): { before: OutputPiece[]; after: OutputPiece[] } => {
  const before: OutputPiece[] = [];
  const after: OutputPiece[] = [];
  for (const piece of pieces) {
    if (piece.endOffset <= offset) before.push(piece);
    else if (piece.offset >= offset) after.push(piece);
    else {
      const bytes = Buffer.from(piece.text);
      const text = (from: number, to?: number) => bytes.toString('utf8', from, to);
      before.push({ ...piece, endOffset: offset, text: text(0, offset - piece.offset) });
      after.push({ ...piece, offset, text: text(offset - piece.offset) });
    }
  }
  return { before, after };
};

const makeChunk = (
  sessionId: string,
  key: Snapshot,
  number: number,
  pieces: readonly OutputPiece[],
  endOffset: number,
): ClosedChunk => {
  const { epoch, offset, sizeRev, cols, rows, data } = key;
  const parts: TranscriptChunk['parts'] = [];
  let rev = sizeRev;
  for (const piece of pieces) {
    // A keyframe may be of a later size than bytes the parser still held when it was taken.
    if (piece.sizeRev > rev)
      parts.push({
        k: 'r',
        ts: piece.atMs,
        offset: piece.offset,
        sizeRev: piece.sizeRev,
        cols: piece.cols,
        rows: piece.rows,
      });
    rev = Math.max(rev, piece.sizeRev);
    parts.push({ k: 'o', ts: piece.atMs, offset: piece.offset, data: piece.text });
  }
  const keyframe = { cols, rows, sizeRev, data };
  const content: TranscriptChunk = { v: 1, sessionId, epoch, number, firstOffset: offset, endOffset, keyframe, parts };
  const body = gzipSync(JSON.stringify(content));
  const sha256Base64 = createHash('sha256').update(body).digest('base64');
  return { epoch, number, firstOffset: offset, endOffset, body, sizeBytes: body.length, sha256Base64 };
};

/** A chunker for one epoch; pieces must follow the start keyframe without a gap. */
export const transcriptChunker = (options: TranscriptChunkerOptions): TranscriptChunker => {
  const { sessionId, clock, snapshot, onChunk } = options;
  let key = options.start;
  let number = options.number;
  let pieces: OutputPiece[] = [];
  let openedMs = clock.monotonicMs();
  let isWatched = false;
  let closing: Promise<void> | undefined;
  let cancel = (): void => {};

  const size = (): number => (pieces.at(-1)?.endOffset ?? key.offset) - key.offset;
  const hand = (next: Snapshot): void => {
    const { before, after } = cutAt(pieces, next.offset);
    if (next.offset <= key.offset) return;
    onChunk(makeChunk(sessionId, key, number, before, next.offset));
    number += 1;
    key = next;
    pieces = after;
    openedMs = clock.monotonicMs();
  };
  const close = async (): Promise<void> => {
    const result = await snapshot();
    // Inside a long control string there is no keyframe: the chunk grows until one can be taken.
    if (result.kind === 'snapshot') hand(result.snapshot);
  };
  const look = (): void => {
    cancel();
    if (closing !== undefined || size() === 0) return;
    const ageMs = clock.monotonicMs() - openedMs;
    if (decideChunk(size(), ageMs, isWatched) === 'close') {
      closing = close().finally(() => {
        closing = undefined;
      });
      return;
    }
    const maxMs = isWatched ? TRANSCRIPT_CHUNK_WATCHED_MS : TRANSCRIPT_CHUNK_UNWATCHED_MS;
    cancel = clock.after(maxMs - ageMs, look);
  };
  return {
    push(piece) {
      if (piece.endOffset <= key.offset) return;
      if (size() === 0) openedMs = clock.monotonicMs();
      pieces.push(...cutAt([piece], key.offset).after);
      look();
    },
    setWatched(next) {
      isWatched = next;
      look();
    },
    async end() {
      cancel();
      await closing;
      if (size() === 0) return;
      const endOffset = key.offset + size();
      onChunk(makeChunk(sessionId, key, number, pieces, endOffset));
      pieces = [];
      key = { ...key, offset: endOffset };
    },
  };
};
