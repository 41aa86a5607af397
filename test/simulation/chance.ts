/** Seeded chance of a simulation: the same seed draws the same numbers, so that a failure can be replayed. */
import type { Random } from '../../shared/clock.ts';

export class Chance implements Random {
  #state: number;

  constructor(seed: number) {
    // Neighbouring seeds must not begin alike.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
    for (let round = 0; round < 4; round += 1) this.next();
  }

  /** In [0, 1) (mulberry32). A field, since whoever gets a Random may take its functions out of it. */
  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };

  readonly hex = (sizeBytes: number): string => {
    let hex = '';
    while (hex.length < sizeBytes * 2)
      hex += Math.floor(this.next() * 65_536)
        .toString(16)
        .padStart(4, '0');
    return hex.slice(0, sizeBytes * 2);
  };

  /** In [from, to). */
  between(from: number, to: number): number {
    return from + this.next() * (to - from);
  }

  int(from: number, to: number): number {
    return Math.floor(this.between(from, to + 1));
  }

  is(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(list: readonly [T, ...T[]]): T {
    return list[this.int(0, list.length - 1)] ?? list[0];
  }
}
