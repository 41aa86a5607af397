/** Stops and continues all processes of the CLI; several reasons may hold it, and it runs on when the last one is gone. */
import type { Log } from '../log.ts';

export type FreezeReason = 'pause' | 'lease_lost' | 'journal_full' | 'stream_broken';

export interface Freezable {
  freeze(): Promise<void>;
  thaw(): Promise<void>;
}

export class Freezer {
  readonly #log: Log;
  readonly #reasons = new Set<FreezeReason>();
  #target: Freezable | null = null;
  #isFrozen = false;
  #work: Promise<void> = Promise.resolve();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Held for a reason nobody asked for: that time is not billed. */
  get isUnbilled(): boolean {
    return [...this.#reasons].some((reason) => reason !== 'pause');
  }

  /** What is held from now on; a reason that stands already holds it at once. */
  setTarget(target: Freezable | null): void {
    this.#target = target;
    this.#isFrozen = false;
    void this.#apply();
  }

  /** Resolves when the processes follow; a failure is logged, since the next change tries again. */
  set(reason: FreezeReason, isOn: boolean): Promise<void> {
    if (isOn) this.#reasons.add(reason);
    else this.#reasons.delete(reason);
    return this.#apply();
  }

  /** Lets everything run on for an orderly stop. */
  release(): Promise<void> {
    this.#reasons.clear();
    return this.#apply();
  }

  #apply(): Promise<void> {
    this.#work = this.#work.then(async () => {
      const wanted = this.#reasons.size > 0;
      if (this.#target === null || wanted === this.#isFrozen) return;
      try {
        await (wanted ? this.#target.freeze() : this.#target.thaw());
        this.#isFrozen = wanted;
      } catch (error) {
        this.#log.error('the processes could not be frozen or thawed', { wanted, error });
      }
    });
    return this.#work;
  }
}
