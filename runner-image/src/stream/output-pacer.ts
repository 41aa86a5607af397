/** When live output leaves for the watchers (protocol.md, Terminal, Flush): quick while somebody types, else gathered. */
import type { Clock } from '../../../shared/clock.ts';
import {
  FLUSH_IDLE_MS,
  FLUSH_INTERACTIVE_BUSY_BYTES,
  FLUSH_INTERACTIVE_BUSY_MS,
  FLUSH_INTERACTIVE_MS,
  FLUSH_INTERACTIVE_WINDOW_MS,
  FLUSH_LED_WINDOW_MS,
  FLUSH_STEADY_FRAMES,
  FLUSH_STEADY_MS,
  FLUSH_TRICKLE_BYTES,
  FLUSH_TRICKLE_FRAMES,
  FLUSH_TRICKLE_MS,
  FLUSH_WATCHED_MS,
  LIVE_BACKLOG_MAX_BYTES,
} from '../../../shared/limits.ts';
import type { OutputPiece } from './terminal-stream.ts';

export interface PacerState {
  readonly isWatched: boolean;
  readonly backlogBytes: number;
  /** Undefined: never. */
  readonly lastInputMs: number | undefined;
  readonly lastFlushMs: number | undefined;
  /** Nothing was sent since the last input: the next output is its echo. */
  readonly isEchoDue: boolean;
  /** Flushes in a row that were small and came one upon the other. */
  readonly trickles: number;
  /** Flushes in a row that came one upon the other, of any size. */
  readonly flushes: number;
}
export type PacerDecision =
  | { readonly action: 'flush' }
  | { readonly action: 'wait'; readonly delayMs: number }
  /** Nobody watches: the spool has it. */
  | { readonly action: 'discard' }
  /** Too much for live frames: watchers get a snapshot instead. */
  | { readonly action: 'overflow' }
  | { readonly action: 'nothing' };

/** Between two frames, by how long ago somebody typed. */
const intervalOf = ({ backlogBytes, lastInputMs, trickles, flushes }: PacerState, nowMs: number): number => {
  const sinceInputMs = lastInputMs === undefined ? Number.POSITIVE_INFINITY : nowMs - lastInputMs;
  if (sinceInputMs <= FLUSH_INTERACTIVE_WINDOW_MS)
    return backlogBytes > FLUSH_INTERACTIVE_BUSY_BYTES ? FLUSH_INTERACTIVE_BUSY_MS : FLUSH_INTERACTIVE_MS;
  if (sinceInputMs <= FLUSH_LED_WINDOW_MS) return FLUSH_IDLE_MS;
  const isTrickle = trickles >= FLUSH_TRICKLE_FRAMES && backlogBytes < FLUSH_TRICKLE_BYTES;
  if (isTrickle) return FLUSH_TRICKLE_MS;
  return flushes >= FLUSH_STEADY_FRAMES ? FLUSH_STEADY_MS : FLUSH_WATCHED_MS;
};

export const decideFlush = (state: PacerState, nowMs: number): PacerDecision => {
  if (state.backlogBytes === 0) return { action: 'nothing' };
  if (!state.isWatched) return { action: 'discard' };
  if (state.backlogBytes > LIVE_BACKLOG_MAX_BYTES) return { action: 'overflow' };
  const isInteractive = state.lastInputMs !== undefined && nowMs - state.lastInputMs <= FLUSH_INTERACTIVE_WINDOW_MS;
  if (isInteractive && state.isEchoDue) return { action: 'flush' };
  const delayMs = state.lastFlushMs === undefined ? 0 : state.lastFlushMs + intervalOf(state, nowMs) - nowMs;
  return delayMs <= 0 ? { action: 'flush' } : { action: 'wait', delayMs };
};

/** Output that ends a silence is no trickle, nor the middle of a long answer, and must not wait like one. */
const rowAfter = (state: PacerState, nowMs: number): Pick<PacerState, 'trickles' | 'flushes'> => {
  const { trickles, flushes, backlogBytes, lastFlushMs } = state;
  const isUponTheLast = lastFlushMs !== undefined && nowMs - lastFlushMs < 2 * FLUSH_TRICKLE_MS;
  if (!isUponTheLast) return { trickles: 0, flushes: 0 };
  return { trickles: backlogBytes < FLUSH_TRICKLE_BYTES ? trickles + 1 : 0, flushes: flushes + 1 };
};

export interface OutputPacer {
  push(piece: OutputPiece): void;
  /** Input reached the PTY: what follows is an echo. */
  noteInput(): void;
  setWatched(isWatched: boolean): void;
  /** Something waits, and a flush of it is planned. */
  readonly isWaiting: boolean;
  /** Sends what waits at once (before a snapshot or at the end). */
  flushNow(): void;
  dispose(): void;
}

export interface OutputPacerOptions {
  readonly clock: Clock;
  /** Neighbouring pieces of one size joined, in order. */
  readonly onFlush: (pieces: readonly OutputPiece[]) => void;
  /** The backlog was dropped: live output goes on after a snapshot. Called once until the next piece that is kept. */
  readonly onSnapshotNeeded: () => void;
}

const join = (pieces: readonly OutputPiece[]): OutputPiece[] => {
  const joined: OutputPiece[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (last === undefined || last.sizeRev !== piece.sizeRev || last.endOffset !== piece.offset) joined.push(piece);
    else joined[joined.length - 1] = { ...last, text: last.text + piece.text, endOffset: piece.endOffset };
  }
  return joined;
};

/** A pacer for one session, unwatched at first. */
export const outputPacer = ({ clock, onFlush, onSnapshotNeeded }: OutputPacerOptions): OutputPacer => {
  let backlog: OutputPiece[] = [];
  let state: PacerState = {
    isWatched: false,
    backlogBytes: 0,
    lastInputMs: undefined,
    lastFlushMs: undefined,
    isEchoDue: false,
    trickles: 0,
    flushes: 0,
  };
  let cancel: (() => void) | undefined;

  const empty = (): OutputPiece[] => {
    const pieces = backlog;
    backlog = [];
    cancel?.();
    cancel = undefined;
    state = { ...state, backlogBytes: 0 };
    return pieces;
  };
  const flush = (): void => {
    const nowMs = clock.monotonicMs();
    const row = rowAfter(state, nowMs);
    const pieces = empty();
    state = { ...state, lastFlushMs: nowMs, isEchoDue: false, ...row };
    if (pieces.length > 0) onFlush(join(pieces));
  };
  const act = (): void => {
    cancel?.();
    cancel = undefined;
    const decision = decideFlush(state, clock.monotonicMs());
    if (decision.action === 'flush') flush();
    else if (decision.action === 'wait') cancel = clock.after(decision.delayMs, act);
    else if (decision.action === 'discard') empty();
    else if (decision.action === 'overflow') {
      empty();
      onSnapshotNeeded();
    }
  };
  return {
    push(piece) {
      if (state.isWatched) backlog.push(piece);
      state = { ...state, backlogBytes: state.isWatched ? state.backlogBytes + piece.endOffset - piece.offset : 0 };
      act();
    },
    noteInput() {
      state = { ...state, lastInputMs: clock.monotonicMs(), flushes: 0 };
      act();
      // What waited until now was no echo.
      state = { ...state, isEchoDue: true };
    },
    setWatched(isWatched) {
      state = { ...state, isWatched };
      act();
    },
    get isWaiting() {
      return cancel !== undefined && state.backlogBytes > 0;
    },
    flushNow: flush,
    dispose: () => void empty(),
  };
};
