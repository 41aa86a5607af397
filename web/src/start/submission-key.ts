/** One idempotency key per meant start: a retry of the same body keeps it, a changed body gets a new one (else 422). */
import type { Random } from '../../../shared/clock.ts';

export class SubmissionKey {
  readonly #random: Random;
  #body: string | null = null;
  #key = '';

  constructor(random: Random) {
    this.#random = random;
  }

  for(body: unknown): string {
    const text = JSON.stringify(body);
    if (text !== this.#body) {
      this.#body = text;
      this.#key = this.#random.hex(16);
    }
    return this.#key;
  }

  /** It arrived: the next submission is another start, even with the same body. */
  used(): void {
    this.#body = null;
  }
}
