/** A host that goes away leaves so much time and no more: what a session waits for at its end is cut to what is left, whenever it is told. */
import type { Clock } from '../../../shared/clock.ts';

/** How long something may take: its own limit, and in a hurry a share of what is left, so that all of it comes in time. */
export const boundOf = (limitMs: number, share: number, untilMs: number | null, nowMs: number): number =>
  untilMs === null ? limitMs : Math.max(1, Math.min(limitMs, (untilMs - nowMs) * share));

export class Hurry {
  readonly #clock: Clock;
  readonly #told = Promise.withResolvers<void>();
  #untilMs: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isOn(): boolean {
    return this.#untilMs !== null;
  }

  /** Everything must be over within `leftMs`. */
  tell(leftMs: number): void {
    this.#untilMs = this.#clock.monotonicMs() + leftMs;
    this.#told.resolve();
  }

  boundMs(limitMs: number, share: number): number {
    return boundOf(limitMs, share, this.#untilMs, this.#clock.monotonicMs());
  }

  /** Waits by `wait` for as long as it may; a hurry that begins meanwhile makes that shorter. */
  bounded<T>(limitMs: number, share: number, wait: (boundMs: number) => Promise<T>): Promise<T> {
    const waitNow = () => wait(this.boundMs(limitMs, share));
    return Promise.race([waitNow(), this.#told.promise.then(waitNow)]);
  }
}
