/** Watches the lease: tells when it is lost, held again, and when it is lost for too long. */
import type { Clock } from '../../../shared/clock.ts';
import { decideLease } from '../transport/lease.ts';

export interface LeaseKeeperOptions {
  readonly clock: Clock;
  /** Milliseconds that also pass while the machine sleeps. */
  readonly bootMs: () => number;
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
    this.#provenAtMs = options.bootMs();
    this.#look();
  }

  get isLost(): boolean {
    return this.#isLost;
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
    const { bootMs, clock, onLost, onHeld, onKill } = this.#options;
    const nowMs = bootMs();
    const decision = decideLease(this.#provenAtMs, nowMs);
    if (decision.kind === 'kill') {
      onKill();
      return;
    }
    const nextMs = decision.kind === 'held' ? decision.untilMs : decision.killAtMs;
    this.#cancel = clock.after(Math.min(LOOK_MAX_MS, Math.max(1, nextMs - nowMs)), () => this.#look());
    const isLost = decision.kind === 'lost';
    if (isLost === this.#isLost) return;
    this.#isLost = isLost;
    if (isLost) onLost();
    else onHeld();
  }
}
