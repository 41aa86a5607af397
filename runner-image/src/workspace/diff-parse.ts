/** Reads git's `-z` output: names may hold anything but NUL, so only the zero-terminated forms are safe to read. */
import type { DiffFile } from '../../../shared/events.ts';

export interface RawChange {
  readonly path: string;
  readonly oldPath?: string;
  /** The letter git gives: A, M, D, R, T, U. */
  readonly letter: string;
  readonly modeChanged: boolean;
}

export interface LineCounts {
  readonly binary: boolean;
  readonly added: number;
  readonly removed: number;
}

export interface ParsedDiff {
  readonly changes: readonly RawChange[];
  readonly counts: ReadonlyMap<string, LineCounts>;
}

/** The whole records of a NUL-terminated list; a last one that was cut off is dropped. */
export const splitRecords = (output: Buffer): string[] => {
  const end = output.lastIndexOf(0);
  return end < 0 ? [] : output.subarray(0, end).toString('utf8').split('\0');
};

const RAW = /^:(\d{6}) (\d{6}) \S+ \S+ ([A-Z])\d*$/;
const COUNTS = /^(\d+|-)\t(\d+|-)\t([\s\S]*)$/;

/** Reads what `diff-index -z --raw --numstat` wrote: first every change, then the line counts of each. */
export const parseDiff = (output: Buffer): ParsedDiff => {
  const records = splitRecords(output)[Symbol.iterator]();
  const next = (): string | undefined => records.next().value;
  const changes: RawChange[] = [];
  const counts = new Map<string, LineCounts>();
  for (let record = next(); record !== undefined; record = next()) {
    const raw = RAW.exec(record);
    if (raw) {
      const [, oldMode, newMode, letter = ''] = raw;
      const first = next();
      const second = letter === 'R' || letter === 'C' ? next() : undefined;
      const path = second ?? first;
      if (path === undefined) break;
      changes.push({
        path,
        letter,
        modeChanged: oldMode !== newMode,
        ...(second !== undefined && first !== undefined ? { oldPath: first } : {}),
      });
      continue;
    }
    const [, added = '', removed = '', inline] = COUNTS.exec(record) ?? [];
    // Empty for a rename: the old and the new name follow as records of their own.
    const oldPath = inline === '' ? next() : undefined;
    const path = oldPath === undefined ? inline : next();
    if (path === undefined) break;
    counts.set(path, { binary: added === '-', added: Number(added) || 0, removed: Number(removed) || 0 });
  }
  return { changes, counts };
};

const STATUS: Readonly<Record<string, DiffFile['status']>> = {
  A: 'added',
  C: 'added',
  D: 'deleted',
  M: 'modified',
  R: 'renamed',
  T: 'type_changed',
  U: 'modified',
};

const NO_COUNTS: LineCounts = { binary: false, added: 0, removed: 0 };

/** The files of a diff in git's order. A file whose times changed but not its content is left out. */
export const diffFiles = (diff: ParsedDiff, staged: ReadonlySet<string>): DiffFile[] => {
  const files: DiffFile[] = [];
  for (const { path, oldPath, letter, modeChanged } of diff.changes) {
    const { binary, added, removed } = diff.counts.get(path) ?? NO_COUNTS;
    if (letter === 'M' && !modeChanged && !binary && added + removed === 0) continue;
    files.push({
      path,
      ...(oldPath === undefined ? {} : { oldPath }),
      status: STATUS[letter] ?? 'modified',
      staged: staged.has(path) || (oldPath !== undefined && staged.has(oldPath)),
      binary,
      added,
      removed,
    });
  }
  return files;
};
