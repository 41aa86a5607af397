/** Puts terminal frames in order: trims overlap in bytes, holds what lies above, and says when only a new attach can help (protocol.md). */
import { VIEWER_HOLD_MAX_FRAMES } from '../../shared/limits.ts';

export interface Size {
  readonly cols: number;
  readonly rows: number;
}
export interface Address {
  readonly epoch: number;
  readonly offset: number;
}
export interface TerminalSink {
  /** A new screen: forget everything, then take `data`. Another epoch is another terminal. */
  reset(size: Size, data: string, epoch: number): void;
  write(size: Size, data: string): void;
}
export interface OutputFrame extends Address, Size {
  readonly data: string;
}
export interface SnapshotFrame extends OutputFrame {
  readonly snapshotId: string;
  readonly part: number;
  readonly parts: number;
}

export class TerminalStream {
  readonly #sink: TerminalSink;
  #position: Address | undefined;
  #held: OutputFrame[] = [];
  #snapshot: { id: string; parts: (string | undefined)[] } | undefined;

  constructor(sink: TerminalSink, from?: Address) {
    this.#sink = sink;
    this.#position = from;
  }

  /** Everything below it has been written; undefined until the first screen. */
  get position(): Address | undefined {
    return this.#position;
  }

  /** Whether frames wait for bytes that did not come. */
  get isHolding(): boolean {
    return this.#held.length > 0;
  }

  /** Whether (epoch, offset) exists but was not seen yet. */
  isBehind(head: Address): boolean {
    if (this.#position === undefined) return head.offset > 0;
    const { epoch, offset } = this.#position;
    return head.epoch > epoch || (head.epoch === epoch && head.offset > offset);
  }

  output(frame: OutputFrame): void {
    if (this.#position !== undefined && frame.epoch < this.#position.epoch) return;
    // A new epoch starts at 0 on an empty screen; joined later, its screen comes as a snapshot.
    if (frame.offset === 0 && frame.epoch > (this.#position?.epoch ?? 0)) this.#reset(frame, '', 0);
    this.#held.push(frame);
    this.#held.sort((a, b) => a.epoch - b.epoch || a.offset - b.offset);
    // The oldest is the one that will be answered by the next attach anyway.
    if (this.#held.length > VIEWER_HOLD_MAX_FRAMES) this.#held.shift();
    this.#drain();
  }

  /** Takes one part; the screen changes when all are there and it is not older than what is shown. */
  snapshot(frame: SnapshotFrame): void {
    const at = this.#position;
    if (at !== undefined && (frame.epoch < at.epoch || (frame.epoch === at.epoch && frame.offset < at.offset))) return;
    if (this.#snapshot?.id !== frame.snapshotId) this.#snapshot = { id: frame.snapshotId, parts: [] };
    const { parts } = this.#snapshot;
    parts[frame.part] = frame.data;
    for (let part = 0; part < frame.parts; part += 1) if (parts[part] === undefined) return;
    this.#snapshot = undefined;
    this.#reset(frame, parts.join(''), frame.offset);
    this.#drain();
  }

  #reset({ epoch, cols, rows }: OutputFrame, data: string, offset: number): void {
    this.#position = { epoch, offset };
    this.#sink.reset({ cols, rows }, data, epoch);
  }

  #drain(): void {
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      const at = this.#position;
      if (at === undefined || first.epoch > at.epoch || (first.epoch === at.epoch && first.offset > at.offset)) return;
      this.#held.shift();
      if (first.epoch === at.epoch) this.#write(first, at);
    }
  }

  #write({ epoch, offset, data, cols, rows }: OutputFrame, at: Address): void {
    const bytes = Buffer.from(data, 'utf8');
    const fresh = bytes.subarray(at.offset - offset);
    if (fresh.length === 0 || at.offset - offset > bytes.length) return;
    this.#position = { epoch, offset: offset + bytes.length };
    this.#sink.write({ cols, rows }, fresh.toString('utf8'));
  }
}
