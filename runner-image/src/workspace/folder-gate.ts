/** Decides which folders of a workspace are watched: each one costs an inotify watch, of which the machine has few. */
import { relative, sep } from 'node:path';

/** Never watched, whatever ignore rules say: git's own files change all the time, and packages exhaust inotify. */
const NEVER = new Set(['.git', 'node_modules']);

/** Watches at most `maxFolders`; `onFull` is called for each folder refused for that. */
export const createFolderGate = (root: string, maxFolders: number, onFull: () => void) => {
  let ignored: ReadonlySet<string> = new Set();
  const watched = new Set<string>();
  const toRelative = (path: string): string => relative(root, path).split(sep).join('/');
  const isLeftOut = (path: string): boolean => {
    const parts = path.split('/');
    return parts.some((part, at) => NEVER.has(part) || ignored.has(parts.slice(0, at + 1).join('/')));
  };
  return {
    toRelative,
    isLeftOut,
    count: () => watched.size,
    forget: (path: string) => {
      for (const folder of watched) if (folder === path || folder.startsWith(`${path}/`)) watched.delete(folder);
    },
    /** Takes the new rules; returns the folders that are to be left, and those to be watched again. */
    replaceIgnored: (next: ReadonlySet<string>) => {
      const before = ignored;
      ignored = next;
      return {
        leave: [...next].filter((path) => !before.has(path)),
        enter: [...before].filter((path) => !next.has(path)),
      };
    },
    addIgnored: (paths: Iterable<string>) => {
      ignored = new Set([...ignored, ...paths]);
    },
    refuses: (path: string, isFolder: boolean): boolean => {
      const name = toRelative(path);
      if (name === '') return false;
      if (isLeftOut(name)) return true;
      if (!isFolder || watched.has(name)) return false;
      if (watched.size >= maxFolders) {
        onFull();
        return true;
      }
      watched.add(name);
      return false;
    },
  };
};

export type FolderGate = ReturnType<typeof createFolderGate>;
