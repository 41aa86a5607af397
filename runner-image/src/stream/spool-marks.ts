/** What the spool must know besides bytes: sizes, when they came, and the pairs of raw and redacted offset to go on from. */
import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { SPOOL_TIMES_MAX } from '../../../shared/limits.ts';
import { isDiskFull } from '../transport/disk.ts';
import { appendWhole } from './append-whole.ts';
import type { Checkpoint, ResizeMark, TimeMark } from './spool.ts';

const offset = z.int().min(0);
const Line = z.union([
  z.strictObject({ offset, sizeRev: z.int().min(0), cols: z.int().min(1), rows: z.int().min(1) }),
  z.strictObject({ offset, rawOffset: offset }),
  z.strictObject({ offset, atMs: z.int().min(0) }),
]);

export interface Marks {
  readonly checkpoint: Checkpoint;
  readonly resizes: readonly ResizeMark[];
  readonly times: readonly TimeMark[];
  addResize(mark: ResizeMark, baseOffset: number): void;
  addTime(mark: TimeMark, baseOffset: number): void;
  setCheckpoint(checkpoint: Checkpoint, baseOffset: number): void;
  close(): void;
}

/** A line that a crash cut off is the last one, and says nothing that its predecessor does not cover. */
const parseLine = (text: string): z.infer<typeof Line>[] => {
  try {
    return [Line.parse(JSON.parse(text))];
  } catch {
    return [];
  }
};

/** Reads the marks of an epoch and goes on writing them; rewritten beyond `maxBytes` without what lies below the base. */
export const readMarks = (folder: string, epoch: number, maxBytes: number): Marks => {
  const path = join(folder, `${epoch}.marks`);
  let checkpoint: Checkpoint = { offset: 0, rawOffset: 0 };
  let resizes: ResizeMark[] = [];
  let times: TimeMark[] = [];
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  for (const line of lines.flatMap((text) => (text === '' ? [] : parseLine(text)))) {
    if ('rawOffset' in line) checkpoint = line;
    else if ('atMs' in line) times.push(line);
    else resizes.push(line);
  }
  // A size that was set after the checkpoint is kept: the PTY has it, and its bytes are written again from there.
  resizes = resizes.map((mark) => ({ ...mark, offset: Math.min(mark.offset, checkpoint.offset) }));
  // Bytes after the checkpoint come again, at their own time.
  times = times.filter((mark) => mark.offset < checkpoint.offset).slice(-SPOOL_TIMES_MAX);

  let file = -1;
  let sizeBytes = 0;
  const rewrite = (): void => {
    const text = [...resizes, ...times, checkpoint].map((line) => `${JSON.stringify(line)}\n`).join('');
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
    if (file !== -1) closeSync(file);
    file = openSync(path, 'a', 0o600);
    sizeBytes = text.length;
  };
  try {
    rewrite();
  } catch (error) {
    // A runner that starts on a full disk goes on in the old file, without a line that a crash cut off.
    if (!isDiskFull(error) || lines.length === 0) throw error;
    file = openSync(path, 'a', 0o600);
    sizeBytes = Buffer.byteLength(
      lines
        .slice(0, -1)
        .map((line) => `${line}\n`)
        .join(''),
    );
    ftruncateSync(file, sizeBytes);
  }

  /** Either the line is in the file when this returns, or it throws with nothing changed. */
  const write = (line: ResizeMark | TimeMark | Checkpoint): void => {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    appendWhole(file, bytes, sizeBytes);
    sizeBytes += bytes.length;
  };
  const compact = (baseOffset: number): void => {
    if (sizeBytes <= maxBytes) return;
    const current = resizes.findLastIndex((mark) => mark.offset <= baseOffset);
    resizes = resizes.slice(Math.max(0, current));
    times = times.filter((mark) => mark.offset >= baseOffset).slice(-SPOOL_TIMES_MAX);
    try {
      rewrite();
    } catch (error) {
      // The long file is as good; it is tried again with the next mark.
      if (!isDiskFull(error)) throw error;
    }
  };
  return {
    get checkpoint() {
      return checkpoint;
    },
    get resizes() {
      return resizes;
    },
    get times() {
      return times;
    },
    addTime(mark, baseOffset) {
      write(mark);
      times.push(mark);
      compact(baseOffset);
    },
    addResize(mark, baseOffset) {
      write(mark);
      resizes.push(mark);
      compact(baseOffset);
    },
    setCheckpoint(next, baseOffset) {
      write(next);
      checkpoint = next;
      compact(baseOffset);
    },
    close: () => closeSync(file),
  };
};
