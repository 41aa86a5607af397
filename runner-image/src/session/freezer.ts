/** Stops and continues all processes of the CLI; several reasons may hold it, and it runs on when the last one is gone. */
import type { Clock } from '../../../shared/clock.ts';
import type { Log } from '../log.ts';

export const FREEZE_REASONS = ['pause', 'lease_lost', 'journal_full', 'disk_full', 'stream_broken'] as const;
export type FreezeReason = (typeof FREEZE_REASONS)[number];

export interface Freezable {
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Ends every process of the session; `at_once`: none runs on to clean up. */
  kill(how?: 'at_once'): Promise<void>;
}

const RETRY_MS = 1_000;
const TRIES_MAX = 10;

export class Freezer {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #reasons = new Set<FreezeReason>();
  #target: Freezable | null = null;
  #isFrozen = false;
  #work: Promise<void> = Promise.resolve();
  #tries = 0;
  readonly #free: (() => void)[] = [];
  #cancelRetry: () => void = () => {};

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Held for a reason nobody asked for: that time is not billed. */
  get isUnbilled(): boolean {
    return [...this.#reasons].some((reason) => reason !== 'pause');
  }

  get reasons(): FreezeReason[] {
    return [...this.#reasons];
  }

  /** Brokers and hook answers wait as long as anything holds the session, whether its processes have stopped already or not. */
  get isHeld(): boolean {
    return this.#reasons.size > 0;
  }

  /** Resolves when nothing holds the session. */
  async whenFree(): Promise<void> {
    while (this.isHeld) await new Promise<void>((resolve) => this.#free.push(resolve));
  }

  /** What is held from now on; a reason that stands already holds it at once. One that was frozen before a crash may run on otherwise. */
  setTarget(target: Freezable | null, isFrozen = false): void {
    this.#target = target;
    this.#isFrozen = isFrozen;
    void this.#start();
  }

  /**
   * Resolves after the first try. A failure is tried again every second, ten times in all; processes that then still run
   * without a lease are killed: another epoch may work in their place.
   */
  set(reason: FreezeReason, isOn: boolean): Promise<void> {
    if (isOn) this.#reasons.add(reason);
    else this.#reasons.delete(reason);
    return this.#start();
  }

  /** Lets everything run on for an orderly stop. */
  release(): Promise<void> {
    this.#reasons.clear();
    return this.#start();
  }

  #start(): Promise<void> {
    this.#tries = 0;
    if (!this.isHeld) for (const free of this.#free.splice(0)) free();
    return this.#apply();
  }

  #apply(): Promise<void> {
    this.#work = this.#work.then(async () => {
      this.#cancelRetry();
      const wanted = this.#reasons.size > 0;
      const target = this.#target;
      if (target === null || wanted === this.#isFrozen) return;
      try {
        await (wanted ? target.freeze() : target.thaw());
        // A target set meanwhile has not followed.
        if (target === this.#target) this.#isFrozen = wanted;
      } catch (error) {
        this.#log.error('the processes could not be frozen or thawed', { wanted, error });
        await this.#failed(target);
      }
    });
    return this.#work;
  }

  async #failed(target: Freezable): Promise<void> {
    this.#tries += 1;
    if (this.#tries < TRIES_MAX) {
      this.#cancelRetry = this.#clock.after(RETRY_MS, () => void this.#apply());
      return;
    }
    if (!this.#reasons.has('lease_lost')) return;
    this.#log.error('the processes cannot be held without a lease and are killed');
    // A kill that fails leaves the lease keeper's end, which kills again.
    await target
      .kill('at_once')
      .catch((error: unknown) => this.#log.error('the processes could not be killed', { error }));
  }
}
