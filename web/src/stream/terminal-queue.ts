/** Feeds a terminal in order: xterm parses writes later but resizes at once, so that must wait; a new screen replaces the old one unseen. */
import { type Drawing, dividerText, FULL_RESET } from '../../../shared/viewer/drawing.ts';

/** The part of xterm's Terminal used here. */
export interface TerminalLike {
  write(data: string, done: () => void): void;
  resize(cols: number, rows: number): void;
  /** Rows of the screen, and how many of them are used. */
  screen(): { readonly rows: number; readonly usedRows: number };
}

export interface QueueEvents {
  /** The screen is about to be drawn anew: what a person looks at may be remembered. */
  readonly onRedraw?: () => void;
  /** It is drawn, and not painted yet. */
  readonly onRedrawn?: () => void;
  /** Everything queued has been parsed. */
  readonly onDrawn?: () => void;
}

/** Characters handed over in one write: enough for throughput, short enough that a page stays responsive. */
const WRITE_MAX_CHARS = 256 * 1024;
const ESC = '\u001b';
/** CAN ends a sequence that was cut off; while "synchronized output" is on, nothing is painted, and the place may be put right first. */
const BEGIN_REDRAW = `\u0018${FULL_RESET}${ESC}[?2026h`;
const END_REDRAW = `${ESC}[?2026l`;

export class TerminalQueue {
  readonly #terminal: TerminalLike;
  readonly #events: QueueEvents;
  #queue: Drawing[] = [];
  #pendingChars = 0;
  #writing = false;
  #closed = false;
  /** A reset was asked for and goes out with the next bytes. */
  #resets = false;

  constructor(terminal: TerminalLike, events: QueueEvents = {}) {
    this.#terminal = terminal;
    this.#events = events;
  }

  get pendingChars(): number {
    return this.#pendingChars;
  }

  apply(actions: readonly Drawing[]): void {
    for (const action of actions) {
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
      if (action === undefined) {
        if (this.#resets) this.#redraw('', 0);
        return;
      }
      if (action.kind === 'reset') this.#resets = true;
      else if (action.kind === 'resize') this.#terminal.resize(action.cols, action.rows);
      else if (action.kind === 'divide') this.#divide(action);
      else this.#write(action.data);
    }
  }

  #divide(divider: Drawing & { kind: 'divide' }): void {
    const { rows, usedRows } = this.#terminal.screen();
    this.#hand(dividerText({ ...divider, rows }, usedRows), 0, () => {});
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
    if (this.#resets) this.#redraw(data.join(''), size);
    else this.#hand(data.join(''), size, () => {});
  }

  /** The old screen stays painted until the new one is complete and in its place. */
  #redraw(data: string, size: number): void {
    this.#resets = false;
    this.#events.onRedraw?.();
    this.#hand(BEGIN_REDRAW + data, size, () => {
      this.#events.onRedrawn?.();
      this.#hand(END_REDRAW, 0, () => {});
    });
  }

  #hand(data: string, size: number, then: () => void): void {
    this.#writing = true;
    this.#terminal.write(data, () => {
      this.#writing = false;
      this.#pendingChars = Math.max(0, this.#pendingChars - size);
      if (this.#closed) return;
      then();
      if (!this.#writing && this.#queue.length === 0) this.#events.onDrawn?.();
      this.#pump();
    });
  }
}
