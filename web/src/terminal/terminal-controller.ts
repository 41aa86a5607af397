/** Ties one xterm to one session's stream: sizes, typing, following, search; React only shows what it reports. */
import type { Terminal } from '@xterm/xterm';
import { systemClock, systemRandom } from '../../../shared/clock.ts';
import type { SessionEvent } from '../../../shared/events.ts';
import { TERMINAL_COLS_MAX, TERMINAL_ROWS_MAX } from '../../../shared/limits.ts';
import { isFinal, type SessionView, type TerminalSize } from '../../../shared/session.ts';
import type { Divider } from '../../../shared/viewer/drawing.ts';
import type { InputLoss } from '../../../shared/viewer/input-sender.ts';
import { SessionStream } from '../../../shared/viewer/session-stream.ts';
import type { StreamView } from '../../../shared/viewer/stream-view.ts';
import type { SocketLike } from '../../../shared/viewer/viewer-socket.ts';
import { requestTicket } from '../api/queries.ts';
import { type ReplayResult, replayTranscript } from '../session/load-transcript.ts';
import { TerminalQueue } from '../stream/terminal-queue.ts';
import { createTerminal } from './create-terminal.ts';
import { deviceWords } from './device-words.ts';
import { FollowTail } from './follow-tail.ts';
import { watcherFontPx } from './terminal-font.ts';
import { exposeForTests, recordForTests } from './test-hook.ts';

export interface TerminalReports {
  readonly onView: (view: StreamView) => void;
  readonly onSession: (session: SessionView) => void;
  readonly onStateChange: () => void;
  readonly onEvent: (event: SessionEvent) => void;
  readonly onInputLoss: (loss: InputLoss) => void;
  readonly onFollow: (follow: boolean) => void;
  readonly onReplay: (state: 'loading' | ReplayResult | Error) => void;
  readonly onSelection: (hasSelection: boolean) => void;
  /** What the line says that stands before the screen of a later epoch. */
  readonly epochWords: (epoch: number) => string;
}

export interface TerminalStart {
  readonly session: SessionView;
  /** Of this view, over all its reconnects. */
  readonly viewerId: string;
  readonly fontPx: number;
}

const RESIZE_SETTLE_MS = 120;
/** xterm's own scrollbar stands beside the last column. */
const SCROLLBAR_PX = 14;
/** What serialize writes between the letters: styles and cursor moves. */
const ESCAPE_SEQUENCES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;?]*[A-Za-z]`, 'g');
const VIEWER_ID_BYTES = 10;

export const newViewerId = (): string => `web-${systemRandom.hex(VIEWER_ID_BYTES)}`;

const dial = (protocols: string[]): SocketLike => {
  const url = new URL('/ws/viewer', location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url, protocols) as SocketLike;
};
/** Rows of the screen down to the last one with text. */
const usedRows = ({ rows, buffer: { active } }: Terminal): number => {
  let used = rows;
  while (used > 1 && (active.getLine(active.baseY + used - 1)?.translateToString(true) ?? '') === '') used -= 1;
  return used;
};
/** Whoever gets the keyboard types at once; a person who is writing into a field goes on there. */
const takeFocus = (terminal: Terminal): void => {
  const active = document.activeElement;
  const writes = active?.closest('input, textarea, select, [contenteditable], dialog') ?? null;
  if (writes === null || active?.closest('.xterm') !== null) terminal.focus();
};
/** A phone watches first: it takes the keyboard only when asked to. */
const watchesFirst = (): boolean => matchMedia('(pointer: coarse)').matches || innerWidth < 700;

export class TerminalController {
  readonly #host: HTMLElement;
  readonly #sessionId: string;
  readonly #reports: TerminalReports;
  readonly #parts: ReturnType<typeof createTerminal>;
  readonly #queue: TerminalQueue;
  readonly #stream: SessionStream | null;
  readonly #abort = new AbortController();
  readonly #follow: FollowTail;
  readonly #unexpose: () => void;
  #fontPx: number;
  #led = false;
  #scaleFrame = 0;
  #resizeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(host: HTMLElement, { session, viewerId, fontPx }: TerminalStart, reports: TerminalReports) {
    this.#host = host;
    this.#sessionId = session.sessionId;
    this.#reports = reports;
    this.#fontPx = fontPx;
    const ended = isFinal(session.state);
    this.#parts = createTerminal(host, { fontPx, ended });
    const { terminal } = this.#parts;
    this.#follow = new FollowTail(terminal, host, reports.onFollow, this.#abort.signal);
    this.#queue = new TerminalQueue(
      {
        write: (data, done) => terminal.write(data, done),
        resize: (cols, rows) => {
          terminal.resize(cols, rows);
          this.#scaleWatched();
        },
        screen: () => ({ rows: terminal.rows, usedRows: usedRows(terminal) }),
      },
      {
        onRedraw: () => this.#follow.remember(),
        onRedrawn: () => this.#follow.recall(),
        onDrawn: () => this.#follow.keep(),
      },
    );
    this.#stream = ended ? null : this.#openStream(session, viewerId);
    this.#unexpose = exposeForTests(terminal, () => this.#stream?.address);
    this.#listen();
    if (this.#stream === null) void this.#replay();
    else this.#stream.start();
  }

  dispose(): void {
    this.#abort.abort(new Error('the terminal was closed'));
    clearTimeout(this.#resizeTimer);
    cancelAnimationFrame(this.#scaleFrame);
    this.#queue.close();
    this.#stream?.stop();
    this.#unexpose();
    this.#parts.terminal.dispose();
  }

  type(text: string): void {
    this.#stream?.type(text);
  }
  askControl(): void {
    this.#stream?.askControl();
    this.#parts.terminal.focus();
  }
  stopAsking(): void {
    this.#stream?.stopAsking();
  }
  takeControl(): void {
    this.#stream?.takeControl();
    this.#parts.terminal.focus();
  }
  answerControl(allow: boolean): void {
    this.#stream?.answerControl(allow);
    this.#parts.terminal.focus();
  }
  watchOnly(): void {
    this.#stream?.watchOnly();
  }
  reconnect(): void {
    this.#stream?.wake();
  }

  setFont(fontPx: number): void {
    this.#fontPx = fontPx;
    this.#parts.terminal.options.fontSize = fontPx;
    this.#fit();
  }
  setScreenReader(on: boolean): void {
    this.#parts.terminal.options.screenReaderMode = on;
  }
  setFollow(follow: boolean): void {
    this.#follow.set(follow);
  }

  /** True when there is a match. */
  find(text: string, direction: 'next' | 'previous'): boolean {
    if (text === '') {
      this.#parts.search.clearDecorations();
      return true;
    }
    this.setFollow(false);
    return direction === 'next' ? this.#parts.search.findNext(text) : this.#parts.search.findPrevious(text);
  }
  focus(): void {
    this.#parts.terminal.focus();
  }
  /** What is selected, or else everything the terminal holds. */
  text(): string {
    const { terminal, serialize } = this.#parts;
    if (terminal.hasSelection()) return terminal.getSelection();
    return serialize.serialize({ excludeModes: true }).replaceAll(ESCAPE_SEQUENCES, '');
  }

  #openStream(session: SessionView, viewerId: string): SessionStream {
    const reports = this.#reports;
    return new SessionStream(
      {
        sessionId: session.sessionId,
        viewerId,
        mode: watchesFirst() ? 'watch' : 'control',
        device: deviceWords(navigator.userAgent),
        size: this.#proposed() ?? { cols: this.#parts.terminal.cols, rows: this.#parts.terminal.rows },
        from: session.epoch > 0 ? { epoch: session.epoch, offset: 0 } : undefined,
      },
      {
        clock: systemClock,
        random: systemRandom,
        ticket: requestTicket,
        dial,
        terminal: {
          apply: (actions) => {
            recordForTests(actions);
            this.#queue.apply(actions.map((action) => (action.kind === 'divide' ? this.#worded(action) : action)));
          },
          clear: () => this.#queue.clear(),
          pendingChars: () => this.#queue.pendingChars,
        },
        onView: (view) => {
          reports.onView(view);
          this.#parts.terminal.options.disableStdin = view.mode !== 'control';
          this.#fit();
          if (view.mode === 'control' && !this.#led) takeFocus(this.#parts.terminal);
          this.#led = view.mode === 'control';
        },
        onAttached: ({ session }) => reports.onSession(session),
        onStateChange: reports.onStateChange,
        onEvent: reports.onEvent,
        onInputLoss: reports.onInputLoss,
        onNotLive: () => void this.#replay(),
      },
    );
  }

  #listen(): void {
    const { terminal } = this.#parts;
    const { signal } = this.#abort;
    terminal.onData((data) => {
      // A watcher's terminal sends nothing: no keys, no mouse, no focus reports.
      if (this.#stream?.view.mode === 'control') this.#stream.type(data);
    });
    terminal.onSelectionChange(() => this.#reports.onSelection(terminal.hasSelection()));
    const observer = new ResizeObserver(() => {
      clearTimeout(this.#resizeTimer);
      this.#resizeTimer = setTimeout(() => this.#fit(), RESIZE_SETTLE_MS);
    });
    observer.observe(this.#host);
    signal.addEventListener('abort', () => observer.disconnect());
    addEventListener('online', () => this.#stream?.wake(), { signal });
    addEventListener('offline', () => this.#stream?.networkLost(), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || this.#stream?.wake(), { signal });
    for (const type of ['pointerdown', 'pointermove', 'keydown', 'wheel', 'focus'] as const)
      addEventListener(type, () => this.#stream?.attend(), { signal, passive: true, capture: true });
  }

  #worded(divider: Divider): Divider {
    return { ...divider, words: this.#reports.epochWords(divider.epoch) };
  }

  #proposed(): TerminalSize | null {
    const proposed = this.#parts.fit.proposeDimensions();
    if (proposed === undefined || !Number.isFinite(proposed.cols) || !Number.isFinite(proposed.rows)) return null;
    return {
      cols: Math.min(TERMINAL_COLS_MAX, Math.max(20, proposed.cols)),
      rows: Math.min(TERMINAL_ROWS_MAX, Math.max(5, proposed.rows)),
    };
  }

  /** The controller's window sets the PTY's size, which comes back with the bytes; a watcher's only scales its letters. */
  #fit(): void {
    if (this.#stream?.view.mode !== 'control') {
      this.#scaleWatched();
      return;
    }
    const { terminal } = this.#parts;
    if (terminal.options.fontSize !== this.#fontPx) terminal.options.fontSize = this.#fontPx;
    const size = this.#proposed();
    if (size !== null) this.#stream.resize(size);
  }

  /** Measures at the person's own size first: cells are rounded to pixels, so a shrunk size tells nothing of a larger one. */
  #scaleWatched(): void {
    if (this.#stream?.view.mode === 'control') return;
    const { terminal } = this.#parts;
    cancelAnimationFrame(this.#scaleFrame);
    this.#scaleFrame = requestAnimationFrame(() => {
      if (terminal.options.fontSize !== this.#fontPx) terminal.options.fontSize = this.#fontPx;
      this.#scaleFrame = requestAnimationFrame(() => this.#shrinkToFit());
    });
  }

  #shrinkToFit(): void {
    const { terminal } = this.#parts;
    const screen = this.#host.querySelector('.xterm-screen');
    const fontPx = this.#fontPx;
    const cellWidthPx = screen === null ? 0 : screen.clientWidth / terminal.cols;
    const widthPx = this.#host.clientWidth - SCROLLBAR_PX;
    const next = watcherFontPx({ widthPx, cols: terminal.cols, cellWidthPx, fontPx }, fontPx);
    if (next !== terminal.options.fontSize) terminal.options.fontSize = next;
  }

  async #replay(): Promise<void> {
    this.#reports.onReplay('loading');
    try {
      const result = await replayTranscript(this.#sessionId, this.#queue, this.#abort.signal);
      if (result.at !== null) this.#stream?.replayed(result.at);
      this.#reports.onReplay(result);
    } catch (error) {
      if (!this.#abort.signal.aborted)
        this.#reports.onReplay(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
