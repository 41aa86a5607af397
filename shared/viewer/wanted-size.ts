/** The size a viewer wants its terminal to have: numbered for the runner, asked for again when the stream shows another. Pure. */
import { VIEWER_RESIZE_AGAIN_MS } from '../limits.ts';
import type { TerminalSize } from '../session.ts';

const sameSize = (a: TerminalSize, b: TerminalSize): boolean => a.cols === b.cols && a.rows === b.rows;

export class WantedSize {
  #size: TerminalSize;
  #shown: TerminalSize | null = null;
  #againAtMs: number | null = null;
  #rev = 0;

  constructor(size: TerminalSize) {
    this.#size = size;
  }

  get size(): TerminalSize {
    return this.#size;
  }

  /** False when nothing changes. */
  want(size: TerminalSize): boolean {
    if (sameSize(size, this.#size)) return false;
    this.#size = { cols: size.cols, rows: size.rows };
    return true;
  }

  /** The stream came with `size`. */
  shown(size: TerminalSize, nowMs: number): void {
    this.#shown = { cols: size.cols, rows: size.rows };
    if (!sameSize(size, this.#size)) this.#againAtMs ??= nowMs + VIEWER_RESIZE_AGAIN_MS;
  }

  /** True once for each stretch in which the stream showed another size for too long. */
  takeAgain(nowMs: number): boolean {
    if (this.#againAtMs === null || nowMs < this.#againAtMs) return false;
    this.#againAtMs = null;
    return this.#shown !== null && !sameSize(this.#shown, this.#size);
  }

  /** `epochMs` is the time since 1970, so that revisions rise over page loads and viewers too. */
  nextRev(epochMs: number): number {
    this.#rev = Math.max(this.#rev + 1, epochMs);
    return this.#rev;
  }
}
