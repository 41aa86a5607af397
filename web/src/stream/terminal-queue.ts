/** Feeds a terminal in order: xterm parses writes later but resizes and resets at once, so those must wait for it. */
import type { Drawing } from '../../../shared/viewer/terminal-assembler.ts';
import { dividerText, type ReplayAction } from '../../../shared/viewer/transcript-replay.ts';

/** The part of xterm's Terminal used here. */
export interface TerminalLike {
  write(data: string, done: () => void): void;
  resize(cols: number, rows: number): void;
  reset(): void;
}

/** Characters handed over in one write: enough for throughput, short enough that a page stays responsive. */
const WRITE_MAX_CHARS = 256 * 1024;

export class TerminalQueue {
  readonly #terminal: TerminalLike;
  readonly #onDrawn: () => void;
  #queue: Drawing[] = [];
  #pendingChars = 0;
  #writing = false;
  #closed = false;

  /** `onDrawn` runs each time everything queued has been parsed. */
  constructor(terminal: TerminalLike, onDrawn: () => void = () => {}) {
    this.#terminal = terminal;
    this.#onDrawn = onDrawn;
  }

  get pendingChars(): number {
    return this.#pendingChars;
  }

  apply(actions: readonly ReplayAction[]): void {
    for (const any of actions) {
      const action = any.kind === 'divide' ? ({ kind: 'write', data: dividerText(any) } as const) : any;
      // What a reset wipes need not be drawn first.
      if (action.kind === 'reset') this.clear();
      this.#queue.push(action);
      if (action.kind === 'write') this.#pendingChars += action.data.length;
    }
    this.#pump();
  }

  /** Drops what was not drawn yet. */
  clear(): void {
    this.#queue = [];
    this.#pendingChars = 0;
  }

  /** After this nothing touches the terminal any more (it may be disposed). */
  close(): void {
    this.#closed = true;
    this.clear();
  }

  #pump(): void {
    while (!this.#writing && !this.#closed) {
      const action = this.#queue.shift();
      if (action === undefined) return;
      if (action.kind === 'reset') this.#terminal.reset();
      else if (action.kind === 'resize') this.#terminal.resize(action.cols, action.rows);
      else this.#write(action.data);
    }
  }

  #write(first: string): void {
    const data = [first];
    let size = first.length;
    for (
      let next = this.#queue[0];
      next?.kind === 'write' && size + next.data.length <= WRITE_MAX_CHARS;
      next = this.#queue[0]
    ) {
      data.push(next.data);
      size += next.data.length;
      this.#queue.shift();
    }
    this.#writing = true;
    this.#terminal.write(data.join(''), () => {
      this.#writing = false;
      this.#pendingChars = Math.max(0, this.#pendingChars - size);
      if (this.#queue.length === 0) this.#onDrawn();
      this.#pump();
    });
  }
}
