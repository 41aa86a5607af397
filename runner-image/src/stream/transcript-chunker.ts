/** Cuts the redacted stream into transcript chunks that can be replayed on their own: a keyframe and what follows it. */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip, gzipSync } from 'node:zlib';
import type { Clock } from '../../../shared/clock.ts';
import type { TranscriptChunk } from '../../../shared/http.ts';
import {
  TRANSCRIPT_CHUNK_MAX_BYTES,
  TRANSCRIPT_CHUNK_MIN_MS,
  TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES,
  TRANSCRIPT_CHUNK_UNWATCHED_BYTES,
  TRANSCRIPT_CHUNK_UNWATCHED_MS,
  TRANSCRIPT_CHUNK_WATCHED_BYTES,
  TRANSCRIPT_CHUNK_WATCHED_MS,
} from '../../../shared/limits.ts';
import type { Snapshot, SnapshotResult } from './stream-screen.ts';
import type { OutputPiece } from './terminal-stream.ts';

/** Keyframe of a chunk that goes on inside the one before it, where no screen can be taken: seen only if that one is missing. */
export const BLANK_SCREEN = '\x1bc';

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
/** The age at which a chunk of this size is complete: every keyframe costs a whole screen, so a flood makes few. */
const dueMs = (sizeBytes: number, isWatched: boolean, maxBytes: number): number => {
  if (sizeBytes >= maxBytes) return 0;
  if (sizeBytes >= (isWatched ? TRANSCRIPT_CHUNK_WATCHED_BYTES : TRANSCRIPT_CHUNK_UNWATCHED_BYTES))
    return TRANSCRIPT_CHUNK_MIN_MS;
  return isWatched ? TRANSCRIPT_CHUNK_WATCHED_MS : TRANSCRIPT_CHUNK_UNWATCHED_MS;
};
/** Whether a chunk of this size and age is complete; one of `maxBytes` is at any age. */
export const decideChunk = (
  sizeBytes: number,
  ageMs: number,
  isWatched: boolean,
  maxBytes = TRANSCRIPT_CHUNK_MAX_BYTES,
): ChunkDecision => (sizeBytes > 0 && ageMs >= dueMs(sizeBytes, isWatched, maxBytes) ? 'close' : 'keep');

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
  /** Of a body; TRANSCRIPT_CHUNK_MAX_BYTES unless told. */
  readonly maxBytes?: number;
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

const gzipAside = promisify(gzip);
/** From this size on compressing would be felt by whoever types: it is done aside, and with less effort. */
const ASIDE_MIN_BYTES = 256 * 1024;
const ASIDE_LEVEL = 1;
/** JSON that is written before others have their turn. */
const JSON_SLICE_BYTES = 256 * 1024;
const turn = promisify(setImmediate);

/** What one chunk, or the chunks it is split into, is made of. */
interface Content {
  readonly sessionId: string;
  readonly key: Snapshot;
  readonly number: number;
  readonly pieces: readonly OutputPiece[];
  readonly endOffset: number;
}

const partsOf = ({ key, pieces }: Content): TranscriptChunk['parts'] => {
  const parts: TranscriptChunk['parts'] = [];
  let rev = key.sizeRev;
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
  return parts;
};

/** Written part by part: as a whole it would hold up everything else for as long as it is large. */
const toJson = async (content: Content): Promise<Buffer> => {
  const { sessionId, key, number, endOffset } = content;
  const { epoch, offset, sizeRev, cols, rows, data } = key;
  const keyframe = { cols, rows, sizeRev, data };
  const empty: TranscriptChunk = {
    v: 1,
    sessionId,
    epoch,
    number,
    firstOffset: offset,
    endOffset,
    keyframe,
    parts: [],
  };
  const written = [Buffer.from(JSON.stringify(empty).slice(0, -']}'.length))];
  let sinceTurn = 0;
  for (const [index, part] of partsOf(content).entries()) {
    const bytes = Buffer.from(`${index === 0 ? '' : ','}${JSON.stringify(part)}`);
    written.push(bytes);
    sinceTurn += bytes.length;
    if (sinceTurn < JSON_SLICE_BYTES) continue;
    sinceTurn = 0;
    await turn();
  }
  return Buffer.concat([...written, Buffer.from(']}')]);
};

const compress = async (json: Buffer, maxBytes: number): Promise<Buffer> => {
  if (json.length < ASIDE_MIN_BYTES) return gzipSync(json);
  // More than this has gathered while the one before was compressed: the program must wait, or it would never end.
  if (json.length > 2 * maxBytes) return gzipSync(json, { level: ASIDE_LEVEL });
  return gzipAside(json, { level: ASIDE_LEVEL });
};

/** An offset between two characters near the middle; `undefined` when there is none inside. */
const middleOf = (pieces: readonly OutputPiece[]): number | undefined => {
  const [first, last] = [pieces[0], pieces.at(-1)];
  if (first === undefined || last === undefined) return undefined;
  if (pieces.length > 1) return pieces[Math.floor(pieces.length / 2)]?.offset;
  const half = Math.floor(first.text.length / 2);
  const isInsidePair = /^[\udc00-\udfff]/.test(first.text.slice(half));
  const bytes = Buffer.byteLength(first.text.slice(0, isInsidePair ? half - 1 : half));
  return bytes === 0 ? undefined : first.offset + bytes;
};

/** One chunk, or several where its body would be larger than `maxBytes`, or its JSON than what readers unpack. */
const makeChunks = async (content: Content, maxBytes: number): Promise<ClosedChunk[]> => {
  const { key, number, pieces, endOffset } = content;
  const json = await toJson(content);
  const body = json.length > TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES ? undefined : await compress(json, maxBytes);
  const middle = body === undefined || body.length > maxBytes ? middleOf(pieces) : undefined;
  if (middle === undefined) {
    const whole = body ?? gzipSync(json, { level: ASIDE_LEVEL });
    const sha256Base64 = createHash('sha256').update(whole).digest('base64');
    const { epoch, offset: firstOffset } = key;
    return [{ epoch, number, firstOffset, endOffset, body: whole, sizeBytes: whole.length, sha256Base64 }];
  }
  const { before, after } = cutAt(pieces, middle);
  const { sizeRev, cols, rows } = before.at(-1) ?? key;
  const next = { ...key, offset: middle, sizeRev, cols, rows, data: BLANK_SCREEN };
  const first = await makeChunks({ ...content, pieces: before, endOffset: middle }, maxBytes);
  const rest = { ...content, key: next, number: number + first.length, pieces: after };
  return [...first, ...(await makeChunks(rest, maxBytes))];
};

/** A chunker for one epoch; pieces must follow the start keyframe without a gap. */
export const transcriptChunker = (options: TranscriptChunkerOptions): TranscriptChunker => {
  const { sessionId, clock, snapshot, onChunk, maxBytes = TRANSCRIPT_CHUNK_MAX_BYTES } = options;
  let key = options.start;
  let number = options.number;
  let pieces: OutputPiece[] = [];
  let openedMs = clock.monotonicMs();
  let isWatched = false;
  let closing: Promise<void> | undefined;
  let cancel = (): void => {};

  const size = (): number => (pieces.at(-1)?.endOffset ?? key.offset) - key.offset;
  const blankAtEnd = (): Snapshot => {
    const { sizeRev, cols, rows } = pieces.at(-1) ?? key;
    return { ...key, offset: key.offset + size(), sizeRev, cols, rows, data: BLANK_SCREEN };
  };
  const hand = async (next: Snapshot): Promise<void> => {
    const { before, after } = cutAt(pieces, next.offset);
    if (next.offset <= key.offset) return;
    const content = { sessionId, key, number, pieces: before, endOffset: next.offset };
    key = next;
    pieces = after;
    openedMs = clock.monotonicMs();
    for (const chunk of await makeChunks(content, maxBytes)) {
      number = chunk.number + 1;
      onChunk(chunk);
    }
  };
  const close = async (): Promise<void> => {
    const result = await snapshot();
    const from = key.offset;
    if (result.kind === 'snapshot') await hand(result.snapshot);
    // Inside a long control string there is no keyframe: the chunk grows until one can be taken, within its bound.
    else if (size() >= maxBytes) await hand(blankAtEnd());
    closing = undefined;
    // What came meanwhile may be the last for long: it has its own time.
    if (key.offset > from) look();
  };
  const look = (): void => {
    cancel();
    if (closing !== undefined || size() === 0) return;
    const ageMs = clock.monotonicMs() - openedMs;
    if (decideChunk(size(), ageMs, isWatched, maxBytes) === 'close') closing = close();
    else cancel = clock.after(dueMs(size(), isWatched, maxBytes) - ageMs, look);
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
      while (closing !== undefined) await closing;
      cancel();
      if (size() === 0) return;
      await hand(blankAtEnd());
    },
  };
};
