/** What the session does to the files: live hints from the watcher, and the diff that is the truth, stored whenever it changed. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../../shared/clock.ts';
import type { DiffFile, EventDraft } from '../../../shared/events.ts';
import type { SessionDiff } from '../../../shared/http.ts';
import {
  DIFF_DEBOUNCE_MS,
  DIFF_PAUSE_MS,
  DIFF_UNWATCHED_PAUSE_MS,
  TOUCHED_SEEN_MAX_PATHS,
} from '../../../shared/limits.ts';
import type { Log } from '../log.ts';
import type { DiffResult } from '../workspace/diff-summary.ts';
import type { FileWatcher, WatchReport } from '../workspace/file-watcher.ts';
import { diffSummaryEvent, fileTouched, type TouchedFile } from './provider-events.ts';
import type { Stored } from './uploads.ts';

export interface WorkFilesOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly diff: () => Promise<DiffResult>;
  readonly watch: (onReport: (report: WatchReport) => void) => Promise<FileWatcher>;
  readonly record: (draft: EventDraft) => void;
  /** Masks the session's secrets. */
  readonly redact: (text: string) => string;
  /** Stores a diff. */
  readonly store: (body: Uint8Array, isLast: boolean) => Promise<Stored>;
  readonly onTouched: (paths: readonly string[]) => void;
}

const KINDS: Readonly<Record<DiffFile['status'], TouchedFile['kind']>> = {
  added: 'added',
  modified: 'modified',
  deleted: 'deleted',
  renamed: 'added',
  type_changed: 'modified',
};

export class WorkFiles {
  readonly #options: WorkFilesOptions;
  readonly #seen = new Set<string>();
  #watcher: FileWatcher | null = null;
  #cancel: (() => void) | null = null;
  #work: Promise<void> = Promise.resolve();
  #lastSha = '';
  #lastRunMs = Number.NEGATIVE_INFINITY;
  /** The last one that found something new. */
  #lastToldMs = Number.NEGATIVE_INFINITY;
  #isWatched = false;
  #isClosed = false;

  constructor(options: WorkFilesOptions) {
    this.#options = options;
  }

  /** Resolves when changes are seen; a watcher that cannot start leaves the diff, which is made on hints. */
  async start(): Promise<void> {
    try {
      const watcher = await this.#options.watch((report) => this.#onReport(report));
      if (this.#isClosed) await watcher.close();
      else this.#watcher = watcher;
      // What changed before the watcher looked is found by the diff.
      this.hint();
    } catch (error) {
      this.#options.log.warn('file changes are not watched', { error });
    }
  }

  /** Something may have changed: a diff follows soon. */
  hint(): void {
    if (this.#isClosed || this.#cancel) return;
    const { clock } = this.#options;
    // Git runs cost the agent's processor, and each stored diff is on the bill.
    const nextMs = this.#isWatched ? 0 : this.#lastToldMs + DIFF_UNWATCHED_PAUSE_MS;
    const pauseMs = Math.max(DIFF_DEBOUNCE_MS, Math.max(this.#lastRunMs + DIFF_PAUSE_MS, nextMs) - clock.monotonicMs());
    this.#cancel = clock.after(pauseMs, () => {
      this.#cancel = null;
      void this.#run(false);
    });
  }

  /** Who begins to watch sees soon what has changed since the last diff. */
  setWatched(isWatched: boolean): void {
    this.#isWatched = isWatched;
    if (!isWatched || !this.#cancel) return;
    this.#cancel();
    this.#cancel = null;
    this.hint();
  }

  /** Stops watching and stores the last diff. Resolves when it is stored or given up. */
  async finish(): Promise<void> {
    await this.close();
    await this.#run(true);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel?.();
    await this.#watcher?.close();
    this.#watcher = null;
  }

  #onReport(report: WatchReport): void {
    const { record, log } = this.#options;
    if (report.kind === 'changes') {
      this.#remember(report.changes.map(({ path }) => path));
      record(fileTouched(report.changes, 0));
    } else log.warn('some file changes are not reported', { reason: report.reason });
    this.hint();
  }

  #remember(paths: readonly string[]): void {
    for (const path of paths) if (this.#seen.size < TOUCHED_SEEN_MAX_PATHS) this.#seen.add(path);
    this.#options.onTouched(paths);
  }

  /** Files the diff knows and the watcher missed: too early for it, or too many at once. */
  #reportUnseen(files: readonly DiffFile[]): void {
    const unseen = files.filter(({ path }) => !this.#seen.has(path));
    if (unseen.length === 0) return;
    this.#remember(unseen.map(({ path }) => path));
    this.#options.record(
      fileTouched(
        unseen.map(({ path, status }) => ({ path, kind: KINDS[status] })),
        0,
      ),
    );
  }

  #run(isLast: boolean): Promise<void> {
    this.#work = this.#work
      .then(() => this.#diffOnce(isLast))
      .catch((error: unknown) => {
        this.#options.log.error('the diff could not be made', { error });
      });
    return this.#work;
  }

  async #diffOnce(isLast: boolean): Promise<void> {
    const { clock, log, record, store, redact } = this.#options;
    const diff = await this.#options.diff();
    this.#lastRunMs = clock.monotonicMs();
    if (diff.kind === 'failed') {
      log.warn('the diff could not be made', { code: diff.code, message: diff.message });
      return;
    }
    const { kind: _kind, ...summary } = diff;
    const body: SessionDiff = { ...summary, files: [...summary.files], patch: redact(summary.patch) };
    const bytes = Buffer.from(JSON.stringify(body));
    const sha = createHash('sha256').update(bytes).digest('hex');
    if (sha === this.#lastSha || (this.#lastSha === '' && diff.files.length === 0 && !isLast)) return;
    this.#lastToldMs = this.#lastRunMs;
    this.#reportUnseen(diff.files);
    const stored = await store(bytes, isLast);
    if (stored.kind === 'failed') log.warn('the diff could not be stored', { why: stored.why });
    // One that was not stored is stored with the next look at it, unless it never will be.
    if (stored.kind === 'stored' || stored.isRefused) this.#lastSha = sha;
    record(diffSummaryEvent(diff, stored.kind === 'stored' ? stored.key : null));
  }
}
