/**
 * What watchers see while they watch: live frames behind one cursor, snapshots where a cursor cannot serve, and the head
 * after silence. A slow line suspends frames, never the agent: the spool has what was left out.
 */
import type { Clock } from '../../../shared/clock.ts';
import type { ControlToRunnerFrame, FrameOf, RunnerFrame, WatcherList } from '../../../shared/frames.ts';
import {
  ATTACH_BYTES_MAX,
  FRAME_MAX_BYTES,
  HEAD_REPEAT_MS,
  LINE_BUFFER_MAX_BYTES,
  SNAPSHOT_EVERY_MS,
  SNAPSHOT_MAX_PARTS,
} from '../../../shared/limits.ts';
import { splitForFrames } from '../stream/frame-splitter.ts';
import { type OutputPacer, outputPacer } from '../stream/output-pacer.ts';
import type { Spool } from '../stream/spool.ts';
import type { Snapshot } from '../stream/stream-screen.ts';
import type { TerminalStream } from '../stream/terminal-stream.ts';
import { readPieces, type SpoolPiece } from './spool-pieces.ts';

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
const LARGEST = Number.MAX_SAFE_INTEGER;

export class LiveView {
  readonly #options: LiveViewOptions;
  readonly #pacer: OutputPacer;
  #watchers: WatcherList = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
  /** Watchers have everything below it, or a snapshot is on its way. */
  #sentOffset: number;
  #isSuspended = false;
  #snapshotsAtMs = Number.NEGATIVE_INFINITY;
  #isSnapshotting = false;
  #seq = 0;
  #lastFrameMs = 0;
  #cancelHead: (() => void) | null = null;
  #cancelCatchUp: (() => void) | null = null;
  #snapshots = 0;

  constructor(options: LiveViewOptions) {
    this.#options = options;
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
        for (const piece of range.pieces) this.#sendPiece(piece, viewerId);
        this.#sendHead();
        return;
      }
    }
    void this.#sendSnapshots(() => [viewerId]);
  }

  /** The connection is back: whoever lacks bytes learns it from the head and attaches again. */
  onUp(): void {
    if (this.isWatched) this.#sendHead();
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
    for (const piece of pieces) if (piece.endOffset > this.#sentOffset) this.#sendPiece(piece);
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
    for (const piece of range.pieces) this.#sendPiece(piece);
    this.#sentOffset = head;
    return true;
  }

  /** The offset the snapshots are true for; `null` inside a very long control string, where none can be taken. */
  async #sendSnapshots(viewers: () => readonly string[]): Promise<number | null> {
    const result = await this.#options.stream.snapshot();
    if (result.kind !== 'snapshot') return null;
    for (const viewerId of viewers()) this.#sendSnapshot(result.snapshot, viewerId);
    return result.snapshot.offset;
  }

  #sendSnapshot({ offset, sizeRev, cols, rows, data }: Snapshot, viewerId: string): void {
    const { capability, sessionId, epoch } = this.#options;
    this.#snapshots += 1;
    const base = {
      type: 'terminal_snapshot',
      capability,
      sessionId,
      epoch,
      viewerId,
      snapshotId: `${epoch}-${offset}-${this.#snapshots}`,
      part: 0,
      parts: SNAPSHOT_MAX_PARTS,
      offset,
      sizeRev,
      cols,
      rows,
      data: '',
    } as const satisfies RunnerFrame;
    const roomBytes = FRAME_MAX_BYTES - Buffer.byteLength(JSON.stringify(base)) - 8;
    const texts = snapshotParts(data, roomBytes);
    texts.forEach((text, part) => {
      this.#options.send(JSON.stringify({ ...base, part, parts: texts.length, data: text } satisfies RunnerFrame));
    });
    this.#armHead();
  }

  #sendPiece({ offset, sizeRev, cols, rows, text }: SpoolPiece, viewerId?: string): void {
    const { capability, sessionId, epoch, agentId, clock } = this.#options;
    const base = {
      type: 'terminal_output',
      capability,
      sessionId,
      epoch,
      agentId,
      stream: 'stdout',
      viewersRev: this.#watchers.rev,
      ...(viewerId === undefined ? {} : { viewerId }),
      sizeRev,
      cols,
      rows,
      ts: clock.nowMs(),
    } as const;
    const emptyBytes = Buffer.byteLength(JSON.stringify({ ...base, offset: LARGEST, seq: LARGEST, data: '' }));
    let at = offset;
    for (const part of splitForFrames(text, FRAME_MAX_BYTES - emptyBytes)) {
      const frame: RunnerFrame = { ...base, offset: at, seq: this.#seq, data: part.text };
      this.#options.send(JSON.stringify(frame));
      this.#seq += 1;
      at += part.sizeBytes;
    }
    this.#armHead();
  }

  #sendHead(): void {
    const { capability, sessionId, epoch, stream, send } = this.#options;
    const frame: RunnerFrame = {
      type: 'head',
      capability,
      sessionId,
      epoch,
      offset: stream.headOffset,
      seq: this.#seq,
    };
    send(JSON.stringify(frame));
  }

  /** After output stops the head is repeated, so that a lost last frame shows. One timer serves a whole burst. */
  #armHead(): void {
    this.#lastFrameMs = this.#options.clock.monotonicMs();
    if (this.#cancelHead === null) this.#waitForSilence(0);
  }

  #waitForSilence(repeat: number): void {
    const quietMs = HEAD_REPEAT_MS[repeat];
    if (quietMs === undefined) {
      this.#cancelHead = null;
      return;
    }
    const { clock } = this.#options;
    const sinceMs = this.#lastFrameMs;
    this.#cancelHead = clock.after(Math.max(1, sinceMs + quietMs - clock.monotonicMs()), () => {
      if (this.#lastFrameMs !== sinceMs) {
        this.#waitForSilence(0);
        return;
      }
      this.#sendHead();
      this.#waitForSilence(repeat + 1);
    });
  }

  #stopTimers(): void {
    this.#cancelHead?.();
    this.#cancelHead = null;
    this.#cancelCatchUp?.();
    this.#cancelCatchUp = null;
    this.#isSuspended = false;
  }
}

/** At most SNAPSHOT_MAX_PARTS parts; a larger screen loses its oldest lines. */
export const snapshotParts = (data: string, roomBytes: number): string[] => {
  const parts = splitForFrames(data, roomBytes).map(({ text }) => text);
  if (parts.length === 0) return [''];
  if (parts.length <= SNAPSHOT_MAX_PARTS) return parts;
  const reset = '\x1bc';
  const tooMany = parts.slice(0, parts.length - SNAPSHOT_MAX_PARTS + 1).join('').length;
  const line = data.indexOf('\r\n', tooMany);
  return snapshotParts(reset + data.slice(line === -1 ? tooMany : line + 2), roomBytes);
};
