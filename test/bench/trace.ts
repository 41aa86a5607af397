/** A recorded terminal of Claude Code as an hour of work: 30 % idle, 40 % spinner, 30 % streaming. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { ROOT } from './harness.ts';

const Read = z.object({ t: z.number(), b: z.string() });

export interface TraceRead {
  readonly atMs: number;
  readonly bytes: Buffer;
}

/** Where the recording shows only its spinner, and where the answer streams. */
const SPINNER = { fromMs: 22_000, toMs: 41_000 };
const STREAMING = { fromMs: 41_000, toMs: 75_000 };
const CYCLE_MS = 75_000;
const IDLE_SHARE = 0.3;
const SPINNER_SHARE = 0.4;

const readTrace = (): TraceRead[] =>
  readFileSync(path.join(ROOT, 'test/fixtures/terminal/claude-pty-trace.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => Read.parse(JSON.parse(line)))
    .map(({ t, b }) => ({ atMs: Math.round(t), bytes: Buffer.from(b, 'base64') }));

/** The part between two times, repeated until `lengthMs` is full. */
const stretch = (
  reads: readonly TraceRead[],
  part: { fromMs: number; toMs: number },
  lengthMs: number,
): TraceRead[] => {
  const spanMs = part.toMs - part.fromMs;
  const within = reads.filter(({ atMs }) => atMs >= part.fromMs && atMs < part.toMs);
  const result: TraceRead[] = [];
  for (let startMs = 0; startMs < lengthMs; startMs += spanMs)
    for (const { atMs, bytes } of within) {
      const shiftedMs = startMs + atMs - part.fromMs;
      if (shiftedMs < lengthMs) result.push({ atMs: shiftedMs, bytes });
    }
  return result;
};

export interface WorkHour {
  readonly reads: readonly TraceRead[];
  readonly turns: readonly { readonly startMs: number; readonly endMs: number }[];
}

/** Reads in order of their time from 0 on, and the turns they belong to: one in each cycle of 75 s. */
export const workHour = (durationMs: number): WorkHour => {
  const trace = readTrace();
  const idleMs = CYCLE_MS * IDLE_SHARE;
  const spinnerMs = CYCLE_MS * SPINNER_SHARE;
  const streamingMs = CYCLE_MS - idleMs - spinnerMs;
  const spinner = stretch(trace, SPINNER, spinnerMs);
  const streaming = stretch(trace, STREAMING, streamingMs);
  const reads: TraceRead[] = [];
  const turns: { startMs: number; endMs: number }[] = [];
  for (let startMs = 0; startMs < durationMs; startMs += CYCLE_MS) {
    const workMs = startMs + idleMs;
    for (const { atMs, bytes } of spinner) reads.push({ atMs: workMs + atMs, bytes });
    for (const { atMs, bytes } of streaming) reads.push({ atMs: workMs + spinnerMs + atMs, bytes });
    turns.push({ startMs: workMs, endMs: startMs + CYCLE_MS });
  }
  return {
    reads: reads.filter(({ atMs }) => atMs < durationMs),
    turns: turns.filter(({ endMs }) => endMs <= durationMs),
  };
};
