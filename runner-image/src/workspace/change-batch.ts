/** Folds file events into one change per path, so that a storm of them costs one small report. */

export type FileChangeKind = 'added' | 'modified' | 'deleted';

export interface FileChange {
  /** Relative to the workspace, with `/`. */
  readonly path: string;
  readonly kind: FileChangeKind;
}

export interface TakenBatch {
  readonly changes: readonly FileChange[];
  /** Paths beyond the cap; the diff has them. */
  readonly dropped: number;
}

/** What two changes of one path within a batch amount to; `null` when nothing is left of them. */
const FOLDED: Readonly<Record<FileChangeKind, Readonly<Record<FileChangeKind, FileChangeKind | null>>>> = {
  added: { added: 'added', modified: 'added', deleted: null },
  modified: { added: 'modified', modified: 'modified', deleted: 'deleted' },
  deleted: { added: 'modified', modified: 'modified', deleted: 'deleted' },
};

/** Collects changes until `take`; holds at most `maxPaths` of them. */
export const createChangeBatch = (maxPaths: number) => {
  const kinds = new Map<string, FileChangeKind>();
  let dropped = 0;
  return {
    add: ({ path, kind }: FileChange): void => {
      const before = kinds.get(path);
      if (before === undefined && kinds.size >= maxPaths) {
        dropped += 1;
        return;
      }
      const folded = before === undefined ? kind : FOLDED[before][kind];
      if (folded === null) kinds.delete(path);
      else kinds.set(path, folded);
    },
    take: (): TakenBatch => {
      const changes = [...kinds].map(([path, kind]): FileChange => ({ path, kind }));
      const taken = { changes, dropped };
      kinds.clear();
      dropped = 0;
      return taken;
    },
    isEmpty: (): boolean => kinds.size === 0 && dropped === 0,
  };
};
