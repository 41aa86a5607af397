/** What the session does to the files: live hints from the watcher, and the diff that is the truth, stored whenever it changed. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import type { SessionDiff } from '../../../shared/http.ts';
import type { Log } from '../log.ts';
import type { DiffResult } from '../workspace/diff-summary.ts';
import type { FileWatcher, WatchReport } from '../workspace/file-watcher.ts';
import { diffSummaryEvent, fileTouched } from './provider-events.ts';
import type { Stored } from './uploads.ts';

export interface WorkFilesOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly diff: () => Promise<DiffResult>;
  readonly watch: (onReport: (report: WatchReport) => void) => Promise<FileWatcher>;
  readonly record: (draft: EventDraft) => void;
  /** Masks the session's secrets. */
  readonly redact: (text: string) => string;
  /** Stores a diff; `isUrgent` at the end. */
  readonly store: (body: Uint8Array, isUrgent: boolean) => Promise<Stored>;
  readonly onTouched: (paths: readonly string[]) => void;
}

/** A diff is made this long after the last change, and again only after a pause: git runs cost the agent's processor. */
const DEBOUNCE_MS = 700;
const PAUSE_MS = 3_000;

export class WorkFiles {
  readonly #options: WorkFilesOptions;
  #watcher: FileWatcher | null = null;
  #cancel: (() => void) | null = null;
  #work: Promise<void> = Promise.resolve();
  #lastSha = '';
  #lastRunMs = Number.NEGATIVE_INFINITY;
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
    } catch (error) {
      this.#options.log.warn('file changes are not watched', { error });
    }
  }

  /** Something may have changed: a diff follows soon. */
  hint(): void {
    if (this.#isClosed || this.#cancel) return;
    const { clock } = this.#options;
    const pauseMs = Math.max(DEBOUNCE_MS, this.#lastRunMs + PAUSE_MS - clock.monotonicMs());
    this.#cancel = clock.after(pauseMs, () => {
      this.#cancel = null;
      void this.#run(false);
    });
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
    const { record, onTouched, log } = this.#options;
    if (report.kind === 'changes') {
      onTouched(report.changes.map(({ path }) => path));
      record(fileTouched(report.changes, 0));
    } else log.warn('some file changes are not reported', { reason: report.reason });
    this.hint();
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
    const stored = await store(bytes, isLast);
    if (stored.kind === 'failed') log.warn('the diff could not be stored', { why: stored.why });
    // One that was not stored is stored with the next look at it.
    else this.#lastSha = sha;
    record(diffSummaryEvent(diff, stored.kind === 'stored' ? stored.key : null));
  }
}
