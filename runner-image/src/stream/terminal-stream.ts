/**
 * The pipeline from PTY bytes to what may leave the runner: decoder, escape filter, redactor, spool, screen. Bytes are
 * acknowledged to pty-host only once their redacted form is on disk, so a crash anywhere loses and doubles nothing.
 */
import type { Clock } from '../../../shared/clock.ts';
import { REDACTOR_HOLD_MS, SPOOL_TIME_EVERY_MS } from '../../../shared/limits.ts';
import type { Redacted } from './redactor.ts';
import { screenModel } from './screen-model.ts';
import type { Spool } from './spool.ts';
import { walkSpool } from './spool-walk.ts';
import { type Size, type SnapshotResult, streamScreen } from './stream-screen.ts';
import { textPipeline } from './text-pipeline.ts';

/** A piece of the redacted stream, written for one terminal size; it never cuts a character. */
export interface OutputPiece extends Size {
  readonly epoch: number;
  /** UTF-8 bytes before and after it in this epoch. */
  readonly offset: number;
  readonly endOffset: number;
  readonly text: string;
  readonly atMs: number;
}

export interface TerminalStreamOptions {
  readonly epoch: number;
  readonly spool: Spool;
  /** Size at the start; a spool that knows a later one wins. */
  readonly cols: number;
  readonly rows: number;
  readonly secrets: readonly string[];
  readonly clock: Clock;
  /**
   * Does a write to the spool, now or, behind those before it, when a full disk has room again: nothing is shown or acknowledged before.
   * Without it a full disk is the caller's.
   */
  readonly keep?: (write: () => void) => void;
  /** Tells pty-host that everything below this raw offset is safe. */
  readonly ack: (rawOffset: number) => void;
  /** The screen model's answers to terminal queries, to be written to the PTY. */
  readonly onAnswer?: (data: string) => void;
  readonly onRedactions?: (count: number, offset: number) => void;
}

export interface TerminalStream {
  /** The raw offset to adopt the process from. */
  readonly resumeRawOffset: number;
  readonly headOffset: number;
  readonly size: Size;
  /**
   * Raw bytes in order; what was seen before is ignored, a gap throws. `onStored` gets the new ones before they are acknowledged: what a
   * crash keeps it from doing it is given again.
   */
  accept(bytes: Buffer, rawOffset: number, onStored?: (fresh: Buffer, rawOffset: number) => void): void;
  /** The PTY's new size: what is emitted from here on was written for it. */
  resize(cols: number, rows: number): Size;
  subscribe(onPiece: (piece: OutputPiece) => void): () => void;
  /** The screen after everything emitted so far. */
  snapshot(): Promise<SnapshotResult>;
  /** The visible screen as text; after snapshot() it is that of the same moment. */
  screenText(): string;
  /** The program has ended: emits what was held back. */
  end(): void;
  dispose(): void;
}

/** The screen of a spool, and whether it is still catching up with what was written before this process. */
const openScreen = (options: TerminalStreamOptions, onProgress: () => void) => {
  const { spool, epoch } = options;
  const first = spool.resizes[0] ?? { sizeRev: 0, cols: options.cols, rows: options.rows, offset: 0 };
  if (spool.resizes.length === 0) spool.mark(first);
  let isReplaying = true;
  const model = screenModel({
    cols: first.cols,
    rows: first.rows,
    onAnswer: (data) => {
      // What was asked before the crash has been answered then.
      if (!isReplaying) options.onAnswer?.(data);
    },
  });
  const onReplayed = () => {
    isReplaying = false;
  };
  // A beginning that the spool has dropped is missing from the screen.
  const before = { tasks: walkSpool(spool, spool.baseOffset, spool.headOffset, first), onReplayed };
  const offsets = { startOffset: spool.baseOffset, headOffset: spool.headOffset };
  return {
    model,
    screen: streamScreen({ model, epoch, ...offsets, size: first, before, clock: options.clock, onProgress }),
  };
};

const sizeOf = ({ spool, ...options }: TerminalStreamOptions): Size => {
  const { sizeRev = 0, cols = options.cols, rows = options.rows } = spool.resizes.at(-1) ?? {};
  return { sizeRev, cols, rows };
};

/** Marks when the bytes that follow came, not more often than SPOOL_TIME_EVERY_MS. */
const stampsOf = (spool: Spool): ((atMs: number) => void) => {
  let stampedMs = Number.NEGATIVE_INFINITY;
  return (atMs) => {
    if (Math.abs(atMs - stampedMs) < SPOOL_TIME_EVERY_MS) return;
    spool.stamp({ offset: spool.headOffset, atMs });
    stampedMs = atMs;
  };
};

/** Opens the stream of one epoch over its spool, new or from before a crash of this process. */
export const openTerminalStream = (options: TerminalStreamOptions): TerminalStream => {
  const { epoch, spool, clock, keep = (write) => write() } = options;
  const pipeline = textPipeline(options.secrets);
  const subscribers = new Set<(piece: OutputPiece) => void>();
  const resumeRawOffset = spool.checkpoint.rawOffset;
  let nextRaw = resumeRawOffset;
  let acked = resumeRawOffset;
  let cancelFlush = (): void => {};

  const acknowledge = (): void => {
    const due = spool.checkpoint.rawOffset;
    if (due === acked || screen.isBehind) return;
    acked = due;
    options.ack(due);
  };
  const { model, screen } = openScreen(options, acknowledge);
  let size = sizeOf(options);
  const stamp = stampsOf(spool);

  const store = (text: string, atMs: number, { sizeRev, cols, rows }: Size): void => {
    const offset = spool.headOffset;
    spool.append(Buffer.from(text));
    const endOffset = spool.headOffset;
    screen.write(text, endOffset);
    const piece = { epoch, offset, endOffset, text, sizeRev, cols, rows, atMs };
    for (const subscriber of subscribers) subscriber(piece);
  };
  const emit = ({ text, redactions }: Redacted, onStored?: () => void): void => {
    if (redactions > 0) options.onRedactions?.(redactions, spool.headOffset);
    const [atMs, written] = [clock.nowMs(), size];
    if (text !== '') {
      keep(() => stamp(atMs));
      keep(() => store(text, atMs, written));
    }
    if (onStored) keep(onStored);
    const { reread } = pipeline;
    if (reread === undefined) return;
    const rawOffset = nextRaw - reread.rawBytes;
    keep(() => {
      const offset = spool.headOffset - reread.textBytes;
      if (rawOffset > spool.checkpoint.rawOffset) spool.check({ offset, rawOffset });
      acknowledge();
    });
  };

  return {
    resumeRawOffset,
    get headOffset() {
      return spool.headOffset;
    },
    get size() {
      return size;
    },
    accept(bytes, rawOffset, onStored) {
      if (rawOffset > nextRaw) throw new Error(`raw bytes from ${nextRaw} to ${rawOffset} are missing`);
      const from = nextRaw;
      const fresh = bytes.subarray(from - rawOffset);
      if (fresh.length === 0) return;
      nextRaw += fresh.length;
      cancelFlush();
      emit(pipeline.push(fresh), onStored && (() => onStored(fresh, from)));
      if (pipeline.isUndecided) cancelFlush = clock.after(REDACTOR_HOLD_MS, () => emit(pipeline.flush()));
    },
    resize(cols, rows) {
      size = { sizeRev: size.sizeRev + 1, cols, rows };
      const next = size;
      keep(() => {
        spool.mark({ offset: spool.headOffset, ...next });
        screen.resize(next);
      });
      return next;
    },
    subscribe(onPiece) {
      subscribers.add(onPiece);
      return () => subscribers.delete(onPiece);
    },
    snapshot: screen.snapshot,
    screenText: model.text,
    end() {
      cancelFlush();
      emit(pipeline.end());
    },
    dispose() {
      cancelFlush();
      subscribers.clear();
      model.dispose();
    },
  };
};
