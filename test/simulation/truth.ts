/** What really happened, seen from outside of both sides: what was journaled, what the runner was told, which disk is gone, what ran where. */
import type { EventEnvelope } from '../../shared/events.ts';
import type { KnownEpoch } from '../invariants/known-events.ts';
import type { Rule, Violation } from '../invariants/violation.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimHost } from './sim-host.ts';
import type { SimPlace } from './sim-place.ts';

interface Life {
  readonly sessionId: string;
  readonly epoch: number;
  readonly journaled: EventEnvelope[];
  ackedRseq: number;
  isDiskLost: boolean;
}

/** A runner that may not serve any more has ended what it ran so long after it heard of that, at the latest. */
const REVOKED_WORKS_MAX_MS = 60_000;

export class Truth {
  readonly violations: Violation[] = [];
  readonly #scheduler: Scheduler;
  readonly #lives = new Map<SimPlace, Life>();
  /** Where each life of a session began. */
  readonly #begun = new Map<string, SimPlace>();
  /** Since when a machine could know that its runner was revoked. */
  readonly #revokedMs = new Map<SimHost['ground'], number>();

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  get epochs(): readonly KnownEpoch[] {
    return [...this.#lives.values()];
  }

  journaled(place: SimPlace, event: EventEnvelope): void {
    const life = this.#of(place);
    const expected = (life.journaled.at(-1)?.rseq ?? 0) + 1;
    if (event.rseq !== expected)
      this.#note(place, 'event_twice', `rseq ${event.rseq} is journaled, expected ${expected}`);
    if (event.rseq >= expected) life.journaled.push(event);
  }

  known(place: SimPlace): void {
    this.#of(place);
  }

  acked(place: SimPlace, ackedRseq: number): void {
    const life = this.#of(place);
    life.ackedRseq = Math.max(life.ackedRseq, ackedRseq);
  }

  diskLost(place: SimPlace): void {
    this.#of(place).isDiskLost = true;
  }

  /** A runner has taken an assignment, and holds so many sessions now. */
  began(host: SimHost, place: SimPlace, held: number): void {
    place.assigned();
    const name = `${place.sessionId}#${place.epoch}`;
    const before = this.#begun.get(name);
    if (before !== undefined && before !== place)
      this.#note(place, 'one_runner_per_epoch', 'two machines have taken the assignment');
    this.#begun.set(name, place);
    if (held > host.capacity) this.#note(place, 'places', `a runner for ${host.capacity} sessions holds ${held}`);
  }

  revocationHeard(host: SimHost): void {
    const before = this.#revokedMs.get(host.ground);
    this.#revokedMs.set(host.ground, before ?? this.#scheduler.nowMs);
  }

  lockedOut(runnerId: string): void {
    const message = `${runnerId} is refused and was not revoked`;
    this.violations.push({ rule: 'revoked_runner', sessionId: null, message });
  }

  /** What a process heard it forgets when it dies. */
  processStarted(host: SimHost): void {
    this.#revokedMs.delete(host.ground);
  }

  worked(host: SimHost, place: SimPlace): void {
    const lateMs = this.#scheduler.nowMs - (this.#revokedMs.get(host.ground) ?? Number.POSITIVE_INFINITY);
    if (lateMs > REVOKED_WORKS_MAX_MS)
      this.#note(place, 'revoked_runner', `the CLI works ${Math.round(lateMs)} ms after its runner was told`);
  }

  workedWithoutLease(place: SimPlace, lateMs: number): void {
    const { sessionId } = place;
    const isKnown = this.violations.some(
      (known) => known.rule === 'cli_without_lease' && known.sessionId === sessionId,
    );
    if (!isKnown) this.#note(place, 'cli_without_lease', `the CLI worked ${Math.round(lateMs)} ms after its lease`);
  }

  workedAfterClosing(place: SimPlace): void {
    this.#note(place, 'cli_without_lease', 'the CLI works and its epoch is closed');
  }

  #note({ sessionId, epoch }: SimPlace, rule: Rule, message: string): void {
    this.violations.push({ rule, sessionId, message: `epoch ${epoch}: ${message}` });
  }

  #of(place: SimPlace): Life {
    const known = this.#lives.get(place);
    if (known !== undefined) return known;
    const { sessionId, epoch } = place;
    const life: Life = { sessionId, epoch, journaled: [], ackedRseq: 0, isDiskLost: false };
    this.#lives.set(place, life);
    return life;
  }
}
