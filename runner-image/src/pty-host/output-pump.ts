/** Moves one program's output to the runner that reads it: from any offset still held, gathered when there is much. */
import type { Clock } from '../../../shared/clock.ts';
import {
  PTY_COALESCE_MS,
  PTY_OUTPUT_PIECE_MAX_BYTES,
  PTY_SEND_WAIT_MS,
  PTY_SEND_WINDOW_BYTES,
} from '../../../shared/limits.ts';
import { PtyError } from './messages.ts';
import { type OutputBuffer, outputBuffer } from './output-buffer.ts';

export interface ExitReport {
  readonly exitCode: number;
  /** Number of the signal, null when it exited by itself. */
  readonly signal: number | null;
  readonly endOffset: number;
}

/** Where a process's output goes; a new attach replaces the one before. */
export interface OutputSink {
  output(handle: number, offset: number, pieces: readonly Buffer[]): void;
  exit(handle: number, report: ExitReport): void;
}

export interface OutputPump {
  readonly buffer: OutputBuffer;
  push(bytes: Buffer): void;
  /** The program got input: what it prints next is an echo, and waits for nothing. */
  noteInput(): void;
  /** Forgets what is safe with the runner, and goes on with what waited for that. */
  ack(offset: number): void;
  /** Reports the exit after the last byte, once per attach. */
  end(report: ExitReport): void;
  /** More waits here than one frame takes. */
  readonly isFlooding: boolean;
  /** Sends nothing until told otherwise; the output of a program that has ended leaves all the same. */
  standStill(isStill: boolean): void;
  /** Throws PtyError offset_gone when `fromOffset` was acknowledged away or is not reached yet. */
  attach(sink: OutputSink, fromOffset: number): void;
  detach(sink: OutputSink): void;
}

/** A pump without a sink: output waits in its buffer until one is attached. */
export const outputPump = (handle: number, clock: Clock): OutputPump => {
  const buffer = outputBuffer();
  let sink: OutputSink | undefined;
  let sentOffset = 0;
  let exit: ExitReport | undefined;
  let isExitSent = false;
  let lastSendMs = Number.NEGATIVE_INFINITY;
  let isScheduled = false;
  let isImmediate = false;
  let cancelWait: (() => void) | undefined;
  let isStill = false;

  // What a program that has ended left is little, and its end must not wait for anything.
  const hasRoom = (): boolean => exit !== undefined || sentOffset - buffer.startOffset < PTY_SEND_WINDOW_BYTES;
  const sendPiece = (to: OutputSink): void => {
    const pieces = buffer.from(sentOffset, PTY_OUTPUT_PIECE_MAX_BYTES);
    to.output(handle, sentOffset, pieces);
    for (const piece of pieces) sentOffset += piece.length;
  };
  const waitForRoom = (): void => {
    cancelWait ??= clock.after(PTY_SEND_WAIT_MS, () => {
      cancelWait = undefined;
      if (sink === undefined || sentOffset === buffer.endOffset) return;
      if (!isStill) sendPiece(sink);
      send();
    });
  };

  const send = (): void => {
    isScheduled = false;
    isImmediate = false;
    if (sink === undefined || (isStill && exit === undefined)) return;
    while (sentOffset < buffer.endOffset && hasRoom()) sendPiece(sink);
    if (sentOffset < buffer.endOffset) waitForRoom();
    lastSendMs = clock.monotonicMs();
    if (exit === undefined || isExitSent) return;
    isExitSent = true;
    sink.exit(handle, exit);
  };
  const sendIfStillDue = (): void => {
    if (isScheduled) send();
  };

  return {
    buffer,
    push(bytes) {
      buffer.append(bytes);
      if (sink === undefined) return;
      if (buffer.endOffset - sentOffset >= PTY_OUTPUT_PIECE_MAX_BYTES) send();
      else if (!isImmediate && clock.monotonicMs() - lastSendMs > PTY_COALESCE_MS) {
        // An echo leaves in the same turn of the loop, with what was gathered before it; bulk output is gathered.
        isScheduled = true;
        isImmediate = true;
        setImmediate(sendIfStillDue);
      } else if (!isScheduled) {
        isScheduled = true;
        clock.after(PTY_COALESCE_MS, sendIfStillDue);
      }
    },
    noteInput() {
      lastSendMs = Number.NEGATIVE_INFINITY;
    },
    ack(offset) {
      buffer.ack(offset);
      cancelWait?.();
      cancelWait = undefined;
      // A gathering that was full waits for nothing else.
      if (sentOffset < buffer.endOffset && !isScheduled) send();
    },
    end(report) {
      exit = report;
      send();
    },
    attach(next, fromOffset) {
      if (fromOffset < buffer.startOffset || fromOffset > buffer.endOffset)
        throw new PtyError('offset_gone', `offset ${fromOffset} is outside ${buffer.startOffset}..${buffer.endOffset}`);
      sink = next;
      sentOffset = fromOffset;
      isExitSent = false;
      send();
    },
    get isFlooding() {
      return buffer.endOffset - buffer.startOffset >= PTY_OUTPUT_PIECE_MAX_BYTES;
    },
    standStill(next) {
      isStill = next;
      if (!isStill && sentOffset < buffer.endOffset && !isScheduled) send();
    },
    detach(old) {
      if (sink === old) sink = undefined;
    },
  };
};
