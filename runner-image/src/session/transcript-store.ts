/** Brings the redacted stream to storage in chunks; a chunk counts once its event is committed, and that follows the PUT. */
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import { TRANSCRIPT_WAITING_MAX_BYTES } from '../../../shared/limits.ts';
import type { Log } from '../log.ts';
import type { Spool } from '../stream/spool.ts';
import type { Snapshot, SnapshotResult } from '../stream/stream-screen.ts';
import type { TerminalStream } from '../stream/terminal-stream.ts';
import {
  BLANK_SCREEN,
  type ClosedChunk,
  type TranscriptChunker,
  transcriptChunker,
} from '../stream/transcript-chunker.ts';
import { openCatchUp } from './transcript-catch-up.ts';
import type { Stored } from './uploads.ts';

/** What a restarted runner goes on from. */
export interface TranscriptPlace {
  /** No number is used twice: an object may lie under each one below. */
  readonly nextNumber: number;
  /** Below it every byte is in a chunk, or in a gap, whose event is recorded. */
  readonly storedOffset: number;
}

export interface TranscriptStoreOptions {
  readonly sessionId: string;
  readonly epoch: number;
  readonly stream: TerminalStream;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly log: Log;
  readonly place: TranscriptPlace;
  readonly store: (number: number, body: Uint8Array, isUrgent: boolean) => Promise<Stored>;
  readonly record: (draft: EventDraft) => void;
  readonly onPlace: (place: TranscriptPlace) => void;
}

export class TranscriptStore {
  readonly #options: TranscriptStoreOptions;
  readonly #uploads = new Set<Promise<void>>();
  /** Chunks in order, until they and all before them are settled. */
  readonly #open: { readonly endOffset: number; isSettled: boolean }[] = [];
  #place: TranscriptPlace;
  #chunker: TranscriptChunker | null = null;
  #isLive = false;
  #isWatched = false;
  #isEnding = false;
  #waitingBytes = 0;

  constructor(options: TranscriptStoreOptions) {
    this.#options = options;
    this.#place = options.place;
    // Until it is live the spool has what comes.
    options.stream.subscribe((piece) => {
      if (this.#isLive) this.#chunker?.push(piece);
    });
  }

  /** Resolves when what the spool had is cut into chunks and the live stream is followed. */
  async start(): Promise<void> {
    const { stream, spool, epoch, clock } = this.#options;
    if (spool.headOffset === 0) {
      const first: Snapshot = { epoch, offset: 0, ...stream.size, data: BLANK_SCREEN };
      this.#chunker = this.#chunkerFrom(first, stream.snapshot);
      this.#isLive = true;
      return;
    }
    // Bytes after the spool's last checkpoint are written again after a crash: a chunk may end above its head.
    const from = this.#withoutDropped(Math.min(this.#place.storedOffset, spool.headOffset));
    const before = await openCatchUp({ spool, epoch, from, clock });
    const chunker = this.#chunkerFrom(before.start, async () =>
      this.#isLive ? await stream.snapshot() : before.snapshot(),
    );
    this.#chunker = chunker;
    while (before.offset < spool.headOffset) await before.walk((piece) => chunker.push(piece));
    this.#isLive = true;
    before.dispose();
  }

  setWatched(isWatched: boolean): void {
    this.#isWatched = isWatched;
    this.#chunker?.setWatched(isWatched);
  }

  /** Closes the last chunk and waits until everything is stored or given up. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await this.#chunker?.end();
    await Promise.all(this.#uploads);
  }

  #chunkerFrom(start: Snapshot, snapshot: () => Promise<SnapshotResult>): TranscriptChunker {
    const { sessionId, clock } = this.#options;
    const number = this.#place.nextNumber;
    const onChunk = (chunk: ClosedChunk): void => this.#onChunk(chunk);
    const chunker = transcriptChunker({ sessionId, clock, start, number, snapshot, onChunk });
    chunker.setWatched(this.#isWatched);
    return chunker;
  }

  /** A spool that was full while nothing could be stored has dropped its beginning. */
  #withoutDropped(from: number): number {
    const { baseOffset } = this.#options.spool;
    if (from >= baseOffset) return from;
    const reason = 'the spool was full before they were stored';
    this.#options.record({ type: 'stream_gap', fromOffset: from, toOffset: baseOffset, reason });
    return baseOffset;
  }

  #onChunk(chunk: ClosedChunk): void {
    const entry = { endOffset: chunk.endOffset, isSettled: false };
    this.#open.push(entry);
    this.#move({ ...this.#place, nextNumber: chunk.number + 1 });
    if (this.#waitingBytes + chunk.sizeBytes > TRANSCRIPT_WAITING_MAX_BYTES) {
      this.#gap(chunk, 'too much waits to be stored');
      this.#settle(entry);
      return;
    }
    this.#waitingBytes += chunk.sizeBytes;
    const upload = this.#upload(chunk).finally(() => {
      this.#waitingBytes -= chunk.sizeBytes;
      this.#uploads.delete(upload);
      this.#settle(entry);
    });
    this.#uploads.add(upload);
  }

  #settle(entry: { isSettled: boolean }): void {
    entry.isSettled = true;
    for (let first = this.#open[0]; first?.isSettled; first = this.#open[0]) {
      this.#open.shift();
      this.#move({ ...this.#place, storedOffset: first.endOffset });
    }
  }

  #move(place: TranscriptPlace): void {
    this.#place = place;
    this.#options.onPlace(place);
  }

  async #upload(chunk: ClosedChunk): Promise<void> {
    const { store, record } = this.#options;
    const { number, firstOffset, endOffset, body } = chunk;
    const stored = await store(number, body, this.#isEnding);
    if (stored.kind === 'failed') {
      this.#gap(chunk, stored.why);
      return;
    }
    const { key, sha256, sizeBytes } = stored;
    record({ type: 'transcript_chunk_stored', number, firstOffset, endOffset, key, sizeBytes, sha256 });
  }

  #gap({ firstOffset, endOffset, number }: ClosedChunk, why: string): void {
    this.#options.log.error('a transcript chunk is lost', { number, why });
    const reason = `transcript chunk ${number}: ${why}`.slice(0, 200);
    this.#options.record({ type: 'stream_gap', fromOffset: firstOffset, toOffset: endOffset, reason });
  }
}
