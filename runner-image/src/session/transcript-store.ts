/** Brings the redacted stream to storage in chunks; a chunk counts once its event is committed, and that follows the PUT. */
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import { TRANSCRIPT_WAITING_MAX_BYTES } from '../../../shared/limits.ts';
import type { Log } from '../log.ts';
import type { OutputPiece, TerminalStream } from '../stream/terminal-stream.ts';
import { type ClosedChunk, type TranscriptChunker, transcriptChunker } from '../stream/transcript-chunker.ts';
import type { Stored } from './uploads.ts';

export interface TranscriptStoreOptions {
  readonly sessionId: string;
  readonly stream: TerminalStream;
  readonly clock: Clock;
  readonly log: Log;
  /** Number of the first chunk of this life of the runner. */
  readonly firstNumber: number;
  readonly store: (number: number, body: Uint8Array, isUrgent: boolean) => Promise<Stored>;
  readonly record: (draft: EventDraft) => void;
  /** The number a restarted runner goes on with. */
  readonly onNumber: (next: number) => void;
}

export class TranscriptStore {
  readonly #options: TranscriptStoreOptions;
  readonly #uploads = new Set<Promise<void>>();
  #chunker: TranscriptChunker | null = null;
  #early: OutputPiece[] | null = [];
  #isWatched = false;
  #isEnding = false;
  #waitingBytes = 0;

  constructor(options: TranscriptStoreOptions) {
    this.#options = options;
    options.stream.subscribe((piece) => {
      if (this.#early) this.#early.push(piece);
      else this.#chunker?.push(piece);
    });
  }

  /** Takes the first keyframe; what comes meanwhile is kept. */
  async start(): Promise<void> {
    const { stream, clock, firstNumber } = this.#options;
    const first = await stream.snapshot();
    if (first.kind !== 'snapshot') throw new Error('a stream at its beginning has no snapshot');
    this.#chunker = transcriptChunker({
      sessionId: this.#options.sessionId,
      clock,
      start: first.snapshot,
      number: firstNumber,
      snapshot: stream.snapshot,
      onChunk: (chunk) => this.#onChunk(chunk),
    });
    this.#chunker.setWatched(this.#isWatched);
    const early = this.#early ?? [];
    this.#early = null;
    for (const piece of early) this.#chunker.push(piece);
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

  #onChunk(chunk: ClosedChunk): void {
    this.#options.onNumber(chunk.number + 1);
    if (this.#waitingBytes + chunk.sizeBytes > TRANSCRIPT_WAITING_MAX_BYTES) {
      this.#gap(chunk, 'too much waits to be stored');
      return;
    }
    this.#waitingBytes += chunk.sizeBytes;
    const upload = this.#upload(chunk).finally(() => {
      this.#waitingBytes -= chunk.sizeBytes;
      this.#uploads.delete(upload);
    });
    this.#uploads.add(upload);
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
