/** Watches the lease: tells when it is lost, held again, and when it is lost for too long. */
import type { Clock } from '../../../shared/clock.ts';
import { decideLease } from '../transport/lease.ts';

export interface LeaseKeeperOptions {
  readonly clock: Clock;
  /** Milliseconds that also pass while the machine sleeps. */
  readonly bootMs: () => number;
  /** When it was proven last, on that clock: a runner process that is started again holds no newer lease. */
  readonly provenAtMs: number;
  readonly onLost: () => void;
  readonly onHeld: () => void;
  readonly onKill: () => void;
}

/** Timers stand still while the machine sleeps: the lease is looked at again this often. */
const LOOK_MAX_MS = 5_000;

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #provenAtMs: number;
  #isLost = false;
  #cancel: () => void = () => {};

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    // A clock that began anew with the machine would make an old proof look like one of the future.
    this.#provenAtMs = Math.min(options.provenAtMs, options.bootMs());
    this.#isLost = decideLease(this.#provenAtMs, options.bootMs()).kind !== 'held';
    this.#lookAfter(1);
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  get provenAtMs(): number {
    return this.#provenAtMs;
  }

  /** A batch that first left at `sentAtMs` (bootMs) was acknowledged. */
  prove(sentAtMs: number): void {
    this.#provenAtMs = Math.max(this.#provenAtMs, sentAtMs);
    this.#look();
  }

  stop(): void {
    this.#cancel();
  }

  #look(): void {
    this.#cancel();
    const { bootMs, onLost, onHeld, onKill } = this.#options;
    const nowMs = bootMs();
    const decision = decideLease(this.#provenAtMs, nowMs);
    if (decision.kind === 'kill') {
      onKill();
      return;
    }
    const nextMs = decision.kind === 'held' ? decision.untilMs : decision.killAtMs;
    this.#lookAfter(Math.min(LOOK_MAX_MS, Math.max(1, nextMs - nowMs)));
    const isLost = decision.kind === 'lost';
    if (isLost === this.#isLost) return;
    this.#isLost = isLost;
    if (isLost) onLost();
    else onHeld();
  }

  #lookAfter(delayMs: number): void {
    this.#cancel = this.#options.clock.after(delayMs, () => this.#look());
  }
}
