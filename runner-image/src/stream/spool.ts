/** The redacted stream on disk, addressed by byte offset within its epoch: what was sent can be read again after a crash. */
import { closeSync, ftruncateSync, mkdirSync, openSync, readdirSync, readSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SPOOL_MARKS_MAX_BYTES, SPOOL_MAX_BYTES, SPOOL_SEGMENT_BYTES } from '../../../shared/limits.ts';
import { appendWhole } from './append-whole.ts';
import { readMarks } from './spool-marks.ts';

export interface ResizeMark {
  /** Bytes from here on were written for this size. */
  readonly offset: number;
  readonly sizeRev: number;
  readonly cols: number;
  readonly rows: number;
}

/** When the bytes from here on came; the latest of them until the next mark. */
export interface TimeMark {
  readonly offset: number;
  readonly atMs: number;
}

/** What stands below the offset is decided: a fresh pipeline can read the raw stream on from `rawOffset`. */
export interface Checkpoint {
  readonly offset: number;
  readonly rawOffset: number;
}

export interface SpoolOptions {
  readonly folder: string;
  readonly epoch: number;
  readonly maxBytes?: number;
  readonly segmentBytes?: number;
  /** The oldest bytes were dropped: [fromOffset, toOffset) can no longer be read here. */
  readonly onDropped?: (fromOffset: number, toOffset: number) => void;
}

export interface Spool {
  /** First offset that can still be read, and the one after the last. */
  readonly baseOffset: number;
  readonly headOffset: number;
  /** Where a restarted runner goes on. */
  readonly checkpoint: Checkpoint;
  readonly resizes: readonly ResizeMark[];
  /** Of the newest bytes: a recording of what was not stored yet keeps its pauses over a crash. */
  readonly times: readonly TimeMark[];
  /** Writes before it returns; this and all that follow throw when the disk refuses, and have changed nothing then. */
  append(bytes: Uint8Array): void;
  mark(resize: ResizeMark): void;
  stamp(time: TimeMark): void;
  check(checkpoint: Checkpoint): void;
  /** Bytes from `offset` on, at most `maxBytes`, possibly cutting a character; `dropped` below baseOffset, empty at the head. */
  read(offset: number, maxBytes: number): { kind: 'bytes'; bytes: Buffer } | { kind: 'dropped'; baseOffset: number };
  close(): void;
}

interface Segment {
  readonly path: string;
  readonly start: number;
  sizeBytes: number;
}

const OFFSET_DIGITS = 16;

const openSegments = (folder: string, epoch: number): Segment[] => {
  const pattern = new RegExp(`^${epoch}-(\\d+)\\.seg$`);
  return readdirSync(folder)
    .flatMap((name) => {
      const start = pattern.exec(name)?.[1];
      const path = join(folder, name);
      return start === undefined ? [] : [{ path, start: Number(start), sizeBytes: statSync(path).size }];
    })
    .sort((one, other) => one.start - other.start);
};

/** Cuts what was written after the last checkpoint: the raw bytes behind it are read and written again. */
const truncateTo = (segments: Segment[], headOffset: number): void => {
  for (let last = segments.at(-1); last !== undefined; last = segments.at(-1)) {
    if (last.start + last.sizeBytes <= headOffset) return;
    if (last.start >= headOffset && segments.length > 1) {
      rmSync(last.path);
      segments.pop();
      continue;
    }
    const file = openSync(last.path, 'r+');
    last.sizeBytes = Math.max(0, headOffset - last.start);
    ftruncateSync(file, last.sizeBytes);
    closeSync(file);
    return;
  }
};

/** Opens (or creates) the spool of one epoch in a folder; what follows the last checkpoint is cut off. */
export const openSpool = (options: SpoolOptions): Spool => {
  const { folder, epoch, maxBytes = SPOOL_MAX_BYTES, segmentBytes = SPOOL_SEGMENT_BYTES } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const segments = openSegments(folder, epoch);
  const marks = readMarks(folder, epoch, SPOOL_MARKS_MAX_BYTES);
  truncateTo(segments, marks.checkpoint.offset);
  const segmentAt = (start: number): Segment => {
    const path = join(folder, `${epoch}-${String(start).padStart(OFFSET_DIGITS, '0')}.seg`);
    return { path, start, sizeBytes: 0 };
  };
  let tail = segments.at(-1) ?? segmentAt(0);
  if (segments.length === 0) segments.push(tail);
  let file = openSync(tail.path, 'a', 0o600);

  const dropOldest = (): void => {
    while (segments.length > 1 && tail.start + tail.sizeBytes - (segments[0]?.start ?? 0) > maxBytes) {
      const oldest = segments.shift();
      if (oldest === undefined) return;
      rmSync(oldest.path, { force: true });
      options.onDropped?.(oldest.start, oldest.start + oldest.sizeBytes);
    }
  };
  const roll = (): void => {
    const next = segmentAt(tail.start + tail.sizeBytes);
    // First the new file, which a full disk may refuse.
    const nextFile = openSync(next.path, 'a', 0o600);
    closeSync(file);
    [tail, file] = [next, nextFile];
    segments.push(next);
    dropOldest();
  };
  const base = (): number => segments[0]?.start ?? 0;

  return {
    get baseOffset() {
      return base();
    },
    get headOffset() {
      return tail.start + tail.sizeBytes;
    },
    get checkpoint() {
      return marks.checkpoint;
    },
    get resizes() {
      return marks.resizes;
    },
    append(bytes) {
      if (tail.sizeBytes >= segmentBytes) roll();
      appendWhole(file, bytes, tail.sizeBytes);
      tail.sizeBytes += bytes.length;
    },
    get times() {
      return marks.times;
    },
    mark: (resize) => marks.addResize(resize, base()),
    stamp: (time) => marks.addTime(time, base()),
    check: (checkpoint) => marks.setCheckpoint(checkpoint, base()),
    read(offset, wantedBytes) {
      if (offset < base()) return { kind: 'dropped', baseOffset: base() };
      const segment = segments.findLast(({ start }) => start <= offset);
      if (segment === undefined) return { kind: 'dropped', baseOffset: base() };
      const sizeBytes = Math.max(0, Math.min(wantedBytes, segment.start + segment.sizeBytes - offset));
      const bytes = Buffer.alloc(sizeBytes);
      const source = openSync(segment.path, 'r');
      try {
        const read = readSync(source, bytes, 0, sizeBytes, offset - segment.start);
        return { kind: 'bytes', bytes: bytes.subarray(0, read) };
      } finally {
        closeSync(source);
      }
    },
    close() {
      closeSync(file);
      marks.close();
    },
  };
};
