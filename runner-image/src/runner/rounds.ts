/** What a runner does now and then until it goes. */
import type { Clock } from '../../../shared/clock.ts';

export class Rounds {
  readonly #clock: Clock;
  readonly #cancels = new Set<() => void>();
  #isStopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Now, and then after each interval. */
  every(intervalMs: number, run: () => void): void {
    if (this.#isStopped) return;
    run();
    const cancel = this.#clock.after(intervalMs, () => {
      this.#cancels.delete(cancel);
      this.every(intervalMs, run);
    });
    this.#cancels.add(cancel);
  }

  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#cancels) cancel();
  }
}
