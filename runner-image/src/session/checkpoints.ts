/** When a session's checkpoints are made: soon after each turn, now and then without turns, and at once when it leaves; one at a time, the latest wins. */
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import {
  CHECKPOINT_IDLE_INTERVAL_MS,
  CHECKPOINT_MIN_INTERVAL_MS,
  CHECKPOINT_NAMES_MAX,
  CHECKPOINT_SETTLE_MS,
} from '../../../shared/limits.ts';
import type { StoredFile } from '../checkpoint/archive-writer.ts';
import type { MakeResult } from '../checkpoint/make-checkpoint.ts';
import type { Log } from '../log.ts';
import type { Stored } from './uploads.ts';

export type MadeCheckpoint = MakeResult & { readonly discard: () => Promise<void> };

export interface CheckpointsOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** The CLI reports turns: without them a checkpoint is made every CHECKPOINT_IDLE_INTERVAL_MS. */
  readonly hasTurns: boolean;
  readonly make: (signal: AbortSignal) => Promise<MadeCheckpoint>;
  /** `number` is never used twice for other bytes in an epoch. */
  readonly store: (number: number, file: StoredFile) => Promise<Stored>;
  readonly forget: (number: number) => void;
  /** One that was never used, also not before a crash. */
  readonly takeNumber: () => number;
  readonly record: (drafts: readonly EventDraft[]) => void;
  /** The one that the session goes on from, until this epoch has one of its own. */
  readonly latestKey: string | null;
}

const ALERTS = {
  checkpoint_too_large: 'The work of this session is too large for a checkpoint',
  checkpoint_failed: 'No checkpoint of this session could be made or stored',
} as const;

export class Checkpoints {
  readonly #options: CheckpointsOptions;
  readonly #alerted = new Set<string>();
  #latestKey: string | null;
  #latestSha = '';
  #lastMadeMs = Number.NEGATIVE_INFINITY;
  #current: AbortController | null = null;
  #work: Promise<unknown> = Promise.resolve();
  #cancelTimer: () => void = () => {};
  #dueAtMs = Number.POSITIVE_INFINITY;
  #isStarted = false;
  #isStopped = false;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
    this.#latestKey = options.latestKey;
  }

  /** Of the newest one that is stored and named by an event. */
  get latestKey(): string | null {
    return this.#latestKey;
  }

  /** The CLI runs in its workspace: from here on there is something to keep. */
  start(): void {
    this.#isStarted = true;
    if (!this.#options.hasTurns) this.#plan(CHECKPOINT_IDLE_INTERVAL_MS);
  }

  /** A turn is over: a checkpoint follows when the CLI has written down what it said, at most one within the interval. */
  turnEnded(): void {
    const sinceMs = this.#options.clock.monotonicMs() - this.#lastMadeMs;
    this.#plan(Math.max(CHECKPOINT_SETTLE_MS, CHECKPOINT_MIN_INTERVAL_MS - sinceMs));
  }

  /** Makes one of what is there now, in the place of one on its way. @returns its key; `null` when there is none */
  now(): Promise<string | null> {
    this.#cancelPlan();
    if (!this.#isStarted) return Promise.resolve(null);
    this.#current?.abort();
    const mine = new AbortController();
    this.#current = mine;
    const work = this.#work.then(() => this.#once(mine.signal));
    this.#work = work;
    return work;
  }

  /** None is begun from here on but by `now`. */
  pause(): void {
    this.#isStopped = true;
    this.#cancelPlan();
  }

  /** Ends what is on its way; resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.pause();
    this.#current?.abort();
    await this.#work;
  }

  #plan(delayMs: number): void {
    if (this.#isStopped || !this.#isStarted) return;
    const { clock } = this.#options;
    const atMs = clock.monotonicMs() + delayMs;
    if (atMs >= this.#dueAtMs) return;
    this.#cancelPlan();
    this.#dueAtMs = atMs;
    this.#cancelTimer = clock.after(delayMs, () => {
      this.#dueAtMs = Number.POSITIVE_INFINITY;
      void this.now().finally(() => {
        if (!this.#options.hasTurns) this.#plan(CHECKPOINT_IDLE_INTERVAL_MS);
      });
    });
  }

  #cancelPlan(): void {
    this.#cancelTimer();
    this.#dueAtMs = Number.POSITIVE_INFINITY;
  }

  /** Never rejects: a session goes on without a checkpoint. */
  async #once(signal: AbortSignal): Promise<string | null> {
    if (signal.aborted) return null;
    this.#lastMadeMs = this.#options.clock.monotonicMs();
    try {
      const made = await this.#options.make(signal);
      if (made.kind === 'failed') {
        if (made.code !== 'cancelled') this.#alert(made.code, made.message);
        return null;
      }
      try {
        return await this.#keep(made.file, signal);
      } finally {
        await made.discard();
      }
    } catch (error) {
      this.#options.log.error('a checkpoint failed unexpectedly', { error });
      this.#alert('checkpoint_failed', 'an error of the runner');
      return null;
    }
  }

  async #keep(file: StoredFile, signal: AbortSignal): Promise<string | null> {
    if (signal.aborted) return null;
    // The same archive says the same.
    if (file.sha256 === this.#latestSha) return this.#latestKey;
    const stored = await this.#store(file, signal);
    if (stored.kind === 'failed') {
      if (!signal.aborted) this.#alert('checkpoint_failed', stored.why);
      return null;
    }
    const { key: checkpointKey, sizeBytes, sha256 } = stored;
    this.#latestKey = checkpointKey;
    this.#latestSha = sha256;
    this.#options.record([{ type: 'workspace_checkpointed', checkpointKey, sizeBytes, sha256 }]);
    return checkpointKey;
  }

  /** A name that is taken (by what a runner of this epoch stored before the disk told it no more) costs nothing but another number. */
  async #store(file: StoredFile, signal: AbortSignal): Promise<Stored> {
    const { store, forget, takeNumber, log } = this.#options;
    for (let left = CHECKPOINT_NAMES_MAX; ; left -= 1) {
      const number = takeNumber();
      const giveUp = (): void => forget(number);
      signal.addEventListener('abort', giveUp, { once: true });
      const stored = await store(number, file).finally(() => signal.removeEventListener('abort', giveUp));
      if (stored.kind === 'stored' || stored.isTaken !== true || signal.aborted || left <= 1) return stored;
      log.warn('a checkpoint of this number is there already', { number });
    }
  }

  /** Told once of each kind: the next turn would only say it again. */
  #alert(code: keyof typeof ALERTS, why: string): void {
    this.#options.log.warn('no checkpoint', { code, why });
    if (this.#alerted.has(code)) return;
    this.#alerted.add(code);
    const lost = 'If its runner is lost, what was done since the last one is lost with it.';
    this.#options.record([{ type: 'alert_raised', code, message: `${ALERTS[code]}: ${why}. ${lost}`.slice(0, 1_000) }]);
  }
}
