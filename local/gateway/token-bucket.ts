/** API Gateway's throttle: a rate with a burst, refilled by the clock. */
import type { Clock } from '../../shared/clock.ts';

export class TokenBucket {
  readonly #clock: Clock;
  readonly #ratePerSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledMs: number;

  constructor(clock: Clock, throttle: { readonly ratePerSecond: number; readonly burst: number }) {
    this.#clock = clock;
    this.#ratePerSecond = throttle.ratePerSecond;
    this.#burst = throttle.burst;
    this.#tokens = throttle.burst;
    this.#filledMs = clock.monotonicMs();
  }

  /** Takes one token; false means the request is too many. */
  take(): boolean {
    const nowMs = this.#clock.monotonicMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#filledMs) / 1_000) * this.#ratePerSecond);
    this.#filledMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
