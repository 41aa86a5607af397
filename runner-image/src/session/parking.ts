/**
 * Gives the runner of a session back that waits for a person for long. While it waits, parking takes the place of the idle
 * bound: nobody's silence ends it, unless no checkpoint can be made. The longest time set for the session still counts.
 */
import type { Clock } from '../../../shared/clock.ts';
import { PARK_RETRY_MS } from '../../../shared/limits.ts';
import type { SessionState } from '../../../shared/session.ts';

export const waitsForPerson = (state: SessionState): boolean =>
  state === 'waiting_for_approval' || state === 'paused_by_human';

export interface ParkingFacts {
  readonly state: SessionState;
  /** Since when it waits for a person; moving from one such state to another does not begin anew. */
  readonly waitsSinceMs: number | null;
  readonly parkAfterMs: number;
  /** When parking failed last. */
  readonly failedAtMs: number | null;
}

export type ParkingDecision =
  | { readonly kind: 'no' }
  | { readonly kind: 'wait'; readonly atMs: number }
  | { readonly kind: 'park' };

export const decideParking = (facts: ParkingFacts, nowMs: number): ParkingDecision => {
  const { state, waitsSinceMs, parkAfterMs, failedAtMs } = facts;
  if (waitsSinceMs === null || !waitsForPerson(state)) return { kind: 'no' };
  const again = failedAtMs === null ? 0 : failedAtMs + PARK_RETRY_MS;
  const atMs = Math.max(waitsSinceMs + parkAfterMs, again);
  return nowMs >= atMs ? { kind: 'park' } : { kind: 'wait', atMs };
};

export interface ParkingOptions {
  readonly clock: Clock;
  readonly parkAfterMs: number;
  readonly state: () => SessionState;
  /** Somebody has asked for it to go on, and it is about to. */
  readonly isAskedOn: () => boolean;
  /** Makes the checkpoint; its key, or `null` when there is none. */
  readonly checkpoint: () => Promise<string | null>;
  /** Ends the epoch. */
  readonly park: (checkpointKey: string) => void;
  /** Whether the session's silence counts as idleness. */
  readonly onSilenceCounts: (counts: boolean) => void;
}

export class Parking {
  readonly #options: ParkingOptions;
  #waitsSinceMs: number | null = null;
  #failedAtMs: number | null = null;
  #isParking = false;
  #isStopped = false;
  #cancel: () => void = () => {};

  constructor(options: ParkingOptions) {
    this.#options = options;
  }

  /** To be called after each change of the state. */
  stateChanged(): void {
    const isWaiting = waitsForPerson(this.#options.state());
    if (isWaiting === (this.#waitsSinceMs !== null)) return;
    this.#waitsSinceMs = isWaiting ? this.#options.clock.monotonicMs() : null;
    this.#failedAtMs = null;
    this.#options.onSilenceCounts(!isWaiting);
    this.#look();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #look(): void {
    this.#cancel();
    if (this.#isStopped || this.#isParking) return;
    const { clock, state, parkAfterMs } = this.#options;
    const facts = { state: state(), waitsSinceMs: this.#waitsSinceMs, failedAtMs: this.#failedAtMs, parkAfterMs };
    const nowMs = clock.monotonicMs();
    const decision = decideParking(facts, nowMs);
    if (decision.kind === 'wait') this.#cancel = clock.after(decision.atMs - nowMs, () => this.#look());
    else if (decision.kind === 'park') void this.#park();
  }

  async #park(): Promise<void> {
    this.#isParking = true;
    const { checkpoint, park, clock, isAskedOn, onSilenceCounts } = this.#options;
    const sinceMs = this.#waitsSinceMs;
    const key = await checkpoint().finally(() => {
      this.#isParking = false;
    });
    // The person came while it was made: what was done since is not in it.
    if (this.#isStopped || this.#waitsSinceMs !== sinceMs) return this.#look();
    if (key !== null && !isAskedOn()) return park(key);
    this.#failedAtMs = clock.monotonicMs();
    onSilenceCounts(true);
    this.#look();
  }
}
