/**
 * Tells which files of a workspace change, in batches. It is a hint for people who watch; what changed in the end is
 * the diff's to say, so under pressure it drops and reports `overflow`.
 */
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import type { Clock } from '../../../shared/clock.ts';
import { WATCH_BATCH_MAX_PATHS, WATCH_BATCH_MS, WATCH_MAX_FOLDERS } from '../../../shared/limits.ts';
import { createChangeBatch, type FileChange, type FileChangeKind } from './change-batch.ts';
import { createFolderGate, type FolderGate } from './folder-gate.ts';
import { ignoredFolders, ignoredPaths } from './ignore-rules.ts';
import { openPrivateRepository, type PrivateRepositoryOptions, refreshedIndex } from './private-repository.ts';

export type WatchReport =
  | { readonly kind: 'changes'; readonly changes: readonly FileChange[] }
  /** Some changes are not reported: too many at once, too many folders, or no inotify watches left. */
  | { readonly kind: 'overflow'; readonly reason: 'too_many_paths' | 'too_many_folders' | 'watch_failed' };

export interface WatchOptions extends PrivateRepositoryOptions {
  readonly clock: Clock;
  readonly onReport: (report: WatchReport) => void;
  readonly limits?: { readonly batchMs?: number; readonly maxPaths?: number; readonly maxFolders?: number };
}

export interface FileWatcher {
  /** Folders watched now. */
  readonly folderCount: () => number;
  /** Nothing is reported after this was called. */
  readonly close: () => Promise<void>;
}

const KINDS: Readonly<Record<string, FileChangeKind>> = { add: 'added', change: 'modified', unlink: 'deleted' };

const isRulesFile = (path: string): boolean => path === '.gitignore' || path.endsWith('/.gitignore');

/** The base index is what makes tracked files count as not ignored; without it the rules alone decide. */
const prepareRules = async (options: PrivateRepositoryOptions): Promise<void> => {
  const repository = await openPrivateRepository(options);
  if (repository) await refreshedIndex(repository, options.baseCommit, join(options.scratch, 'watch.index'));
};

class WorkspaceWatcher implements FileWatcher {
  readonly #options: WatchOptions;
  readonly #root: string;
  readonly #batch;
  readonly #gate: FolderGate;
  readonly #watcher: FSWatcher;
  readonly #newFolders = new Set<string>();
  readonly #overflowed = new Set<string>();
  #closed = false;
  #rulesChanged = false;
  #cancel: (() => void) | undefined;
  #flushing: Promise<void> | undefined;

  constructor(options: WatchOptions, root: string, ignored: ReadonlySet<string>) {
    this.#options = options;
    this.#root = root;
    this.#batch = createChangeBatch(options.limits?.maxPaths ?? WATCH_BATCH_MAX_PATHS);
    const maxFolders = options.limits?.maxFolders ?? WATCH_MAX_FOLDERS;
    this.#gate = createFolderGate(root, maxFolders, () => this.#overflowOnce('too_many_folders'));
    this.#gate.replaceIgnored(ignored);
    this.#watcher = watch(root, {
      ignoreInitial: true,
      followSymlinks: false,
      ignorePermissionErrors: true,
      // A save by rename is folded in the batch; holding back would only delay it.
      atomic: false,
      ignored: (path, stats) => this.#gate.refuses(path, stats?.isDirectory() ?? false),
    });
    this.#watcher.on('all', (event, path) => this.#onEvent(event, path));
    this.#watcher.on('error', () => this.#overflowOnce('watch_failed'));
  }

  readonly folderCount = (): number => this.#gate.count();

  readonly close = async (): Promise<void> => {
    this.#closed = true;
    this.#cancel?.();
    await this.#watcher.close();
    await this.#flushing;
  };

  readonly ready = (): Promise<void> => new Promise((resolve) => this.#watcher.once('ready', resolve));

  #report(report: WatchReport): void {
    if (!this.#closed) this.#options.onReport(report);
  }

  #overflowOnce(reason: 'too_many_folders' | 'watch_failed'): void {
    if (this.#overflowed.has(reason)) return;
    this.#overflowed.add(reason);
    this.#report({ kind: 'overflow', reason });
  }

  #onEvent(event: string, path: string): void {
    const name = this.#gate.toRelative(path);
    const kind = KINDS[event];
    if (event === 'unlinkDir') this.#gate.forget(name);
    if (event === 'addDir' && this.#newFolders.size < WATCH_BATCH_MAX_PATHS) this.#newFolders.add(name);
    if (kind) {
      if (isRulesFile(name)) this.#rulesChanged = true;
      this.#batch.add({ path: name, kind });
    }
    if (kind || event === 'addDir') this.#schedule();
  }

  /** A fixed window from the first change, one flush at a time: a storm that never pauses is still reported. */
  #schedule(): void {
    if (this.#closed || this.#cancel || this.#flushing) return;
    this.#cancel = this.#options.clock.after(this.#options.limits?.batchMs ?? WATCH_BATCH_MS, () => {
      this.#cancel = undefined;
      this.#flushing = this.#flush()
        .catch(() => this.#overflowOnce('watch_failed'))
        .finally(() => {
          this.#flushing = undefined;
          if (!this.#batch.isEmpty() || this.#newFolders.size > 0) this.#schedule();
        });
    });
  }

  async #flush(): Promise<void> {
    const taken = this.#batch.take();
    const folders = [...this.#newFolders].filter((folder) => folder !== '');
    this.#newFolders.clear();
    if (this.#rulesChanged) await this.#followRules();
    const ignored = await ignoredPaths(this.#options, [...folders, ...taken.changes.map((change) => change.path)]);
    if (this.#closed) return;
    const left = folders.filter((folder) => ignored.has(folder));
    this.#gate.addIgnored(left);
    this.#leave(left);
    const changes = taken.changes.filter(({ path }) => !ignored.has(path) && !this.#gate.isLeftOut(path));
    if (changes.length > 0) this.#report({ kind: 'changes', changes });
    if (taken.dropped > 0) this.#report({ kind: 'overflow', reason: 'too_many_paths' });
  }

  async #followRules(): Promise<void> {
    this.#rulesChanged = false;
    const { leave, enter } = this.#gate.replaceIgnored(await ignoredFolders(this.#options));
    if (this.#closed) return;
    this.#leave(leave);
    for (const folder of enter) this.#watcher.add(join(this.#root, folder));
  }

  #leave(folders: readonly string[]): void {
    for (const folder of folders) {
      this.#gate.forget(folder);
      this.#watcher.unwatch(join(this.#root, folder));
    }
  }
}

/** Starts watching and resolves when the first scan is done; what exists then is not reported. */
export const watchWorkspace = async (options: WatchOptions): Promise<FileWatcher> => {
  const root = await realpath(options.workspace);
  await mkdir(options.scratch, { recursive: true, mode: 0o700 });
  await prepareRules(options);
  const watcher = new WorkspaceWatcher(options, root, await ignoredFolders(options));
  await watcher.ready();
  return watcher;
};
