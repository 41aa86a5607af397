/**
 * What watchers see while they watch: live frames behind one cursor, and snapshots where a cursor cannot serve. A slow line suspends frames, never the agent: the spool has what was left out.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { ControlToRunnerFrame, FrameOf, WatcherList } from '../../../shared/frames.ts';
import { ATTACH_BYTES_MAX, LINE_BUFFER_MAX_BYTES, SNAPSHOT_EVERY_MS } from '../../../shared/limits.ts';
import { type OutputPacer, outputPacer } from '../stream/output-pacer.ts';
import type { Spool } from '../stream/spool.ts';
import type { TerminalStream } from '../stream/terminal-stream.ts';
import { readPieces, type SpoolPiece } from './spool-pieces.ts';
import { WatcherFrames } from './watcher-frames.ts';

type AttachFrame = FrameOf<ControlToRunnerFrame, 'attach'>;

export interface LiveViewOptions {
  readonly sessionId: string;
  readonly epoch: number;
  readonly agentId: string;
  readonly capability: string;
  readonly stream: TerminalStream;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly send: (frame: string) => void;
  /** Bytes that wait on the socket. */
  readonly bufferedBytes: () => number;
}

const LINE_POLL_MS = 50;

export class LiveView {
  readonly #options: LiveViewOptions;
  readonly #pacer: OutputPacer;
  readonly #frames: WatcherFrames;
  #watchers: WatcherList = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
  /** Watchers have everything below it, or a snapshot is on its way. */
  #sentOffset: number;
  #isSuspended = false;
  #snapshotsAtMs = Number.NEGATIVE_INFINITY;
  #isSnapshotting = false;
  #cancelCatchUp: (() => void) | null = null;

  constructor(options: LiveViewOptions) {
    this.#options = options;
    this.#frames = new WatcherFrames({
      ...options,
      headOffset: () => options.stream.headOffset,
      viewersRev: () => this.#watchers.rev,
      isMoreComing: () => this.#pacer.isWaiting,
    });
    this.#sentOffset = options.stream.headOffset;
    this.#pacer = outputPacer({
      clock: options.clock,
      onFlush: (pieces) => this.#onFlush(pieces),
      onSnapshotNeeded: () => this.#suspend(),
    });
    options.stream.subscribe((piece) => this.#pacer.push(piece));
  }

  get isWatched(): boolean {
    return this.#watchers.viewers.length > 0;
  }

  setWatchers(watchers: WatcherList): void {
    const wasWatched = this.isWatched;
    this.#watchers = watchers;
    if (!wasWatched && this.isWatched) this.#sentOffset = this.#options.stream.headOffset;
    this.#pacer.setWatched(this.isWatched);
    if (!this.isWatched) this.#stopTimers();
  }

  /** Input reached the PTY: its echo leaves at once. */
  noteInput(): void {
    this.#pacer.noteInput();
  }

  /** Sends what waits, so that no frame spans what follows (a resize, the end). */
  flushNow(): void {
    this.#pacer.flushNow();
  }

  /** Bytes from the address where that is near enough, else a snapshot. */
  attach({ viewerId, from }: Pick<AttachFrame, 'viewerId' | 'from'>): void {
    const { epoch, stream, spool } = this.#options;
    this.#pacer.flushNow();
    const head = stream.headOffset;
    if (from !== undefined && from.epoch === epoch && from.offset <= head && head - from.offset <= ATTACH_BYTES_MAX) {
      const range = readPieces(spool, from.offset, head);
      if (range.kind === 'pieces') {
        for (const piece of range.pieces) this.#frames.piece(piece, this.#watchers.rev, viewerId);
        this.#frames.head();
        return;
      }
    }
    void this.#sendSnapshots(() => [viewerId]);
  }

  /** The connection is back: whoever lacks bytes learns it from the head and attaches again. */
  onUp(): void {
    if (this.isWatched) this.#frames.head();
  }

  dispose(): void {
    this.#stopTimers();
    this.#pacer.dispose();
  }

  #onFlush(pieces: readonly SpoolPiece[]): void {
    if (this.#isSuspended) return;
    if (this.#options.bufferedBytes() > LINE_BUFFER_MAX_BYTES) {
      this.#suspend();
      return;
    }
    for (const piece of pieces) if (piece.endOffset > this.#sentOffset) this.#frames.piece(piece, this.#watchers.rev);
    this.#sentOffset = Math.max(this.#sentOffset, pieces.at(-1)?.endOffset ?? 0);
  }

  #suspend(): void {
    this.#isSuspended = true;
    if (this.#cancelCatchUp || this.#isSnapshotting) return;
    const { clock } = this.#options;
    const waitMs = Math.max(0, this.#snapshotsAtMs + SNAPSHOT_EVERY_MS - clock.monotonicMs());
    this.#cancelCatchUp = clock.after(waitMs, () => {
      this.#cancelCatchUp = null;
      void this.#catchUp();
    });
  }

  /** Brings all watchers to one offset by snapshot, and goes on live from there. */
  async #catchUp(): Promise<void> {
    const { clock, bufferedBytes } = this.#options;
    if (!this.isWatched) {
      this.#isSuspended = false;
      return;
    }
    if (bufferedBytes() > LINE_BUFFER_MAX_BYTES / 4) {
      this.#cancelCatchUp = clock.after(LINE_POLL_MS, () => {
        this.#cancelCatchUp = null;
        void this.#catchUp();
      });
      return;
    }
    this.#isSnapshotting = true;
    this.#snapshotsAtMs = clock.monotonicMs();
    const offset = await this.#sendSnapshots(() => this.#watchers.viewers.map(({ viewerId }) => viewerId));
    this.#isSnapshotting = false;
    if (!this.#goLiveFrom(offset)) this.#suspend();
  }

  #goLiveFrom(offset: number | null): boolean {
    const { stream, spool } = this.#options;
    const head = stream.headOffset;
    if (offset === null || head - offset > ATTACH_BYTES_MAX) return false;
    const range = readPieces(spool, offset, head);
    if (range.kind !== 'pieces') return false;
    this.#isSuspended = false;
    for (const piece of range.pieces) this.#frames.piece(piece, this.#watchers.rev);
    this.#sentOffset = head;
    return true;
  }

  /** The offset the snapshots are true for; `null` inside a very long control string, where none can be taken. */
  async #sendSnapshots(viewers: () => readonly string[]): Promise<number | null> {
    const result = await this.#options.stream.snapshot();
    if (result.kind !== 'snapshot') return null;
    for (const viewerId of viewers()) this.#frames.snapshot(result.snapshot, viewerId);
    return result.snapshot.offset;
  }

  #stopTimers(): void {
    this.#frames.stop();
    this.#cancelCatchUp?.();
    this.#cancelCatchUp = null;
    this.#isSuspended = false;
  }
}
