/** Counts what a viewer missed while its line was cut, over any number of cuts, until it has caught up. Pure. */

export interface Recovered {
  /** Durable events that happened meanwhile. */
  readonly events: number;
  /** The log is complete up to here once they are read. */
  readonly headSeq: number;
  readonly atMs: number;
}

export class StreamRecovery {
  #seenSeq = 0;
  /** Last event seen before the first cut that was not made good yet. */
  #baseSeq: number | null = null;
  #headSeq: number | null = null;

  seen(seq: number): void {
    this.#seenSeq = Math.max(this.#seenSeq, seq);
  }

  cut(): void {
    this.#baseSeq ??= this.#seenSeq;
    this.#headSeq = null;
  }

  /** The control plane answered an attach. */
  attached(headSeq: number): void {
    if (this.#baseSeq !== null) this.#headSeq = Math.max(headSeq, this.#baseSeq);
    this.seen(headSeq);
  }

  /** Once after a cut, when the terminal has caught up. */
  take(isCaughtUp: boolean, nowMs: number): Recovered | null {
    if (!isCaughtUp || this.#baseSeq === null || this.#headSeq === null) return null;
    const recovered = { events: this.#headSeq - this.#baseSeq, headSeq: this.#headSeq, atMs: nowMs };
    this.#baseSeq = null;
    this.#headSeq = null;
    return recovered;
  }
}
