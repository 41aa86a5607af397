/** What really happened, seen from outside of both sides: what was journaled, what the runner was told, which disk is gone. */
import type { EventEnvelope } from '../../shared/events.ts';
import type { KnownEpoch } from '../invariants/known-events.ts';
import type { Violation } from '../invariants/violation.ts';
import type { SimHost } from './sim-host.ts';

interface Life {
  sessionId: string;
  epoch: number;
  readonly journaled: EventEnvelope[];
  ackedRseq: number;
  isDiskLost: boolean;
}

export class Truth {
  readonly violations: Violation[] = [];
  readonly #lives = new Map<SimHost, Life>();
  readonly #loseHost: (host: SimHost) => void;

  constructor(loseHost: (host: SimHost) => void) {
    this.#loseHost = loseHost;
  }

  get epochs(): readonly KnownEpoch[] {
    return [...this.#lives.values()].filter(({ epoch }) => epoch > 0);
  }

  loseHost(host: SimHost): void {
    this.#loseHost(host);
  }

  journaled(host: SimHost, event: EventEnvelope): void {
    const life = this.#of(host);
    life.sessionId = event.sessionId;
    life.epoch = event.epoch;
    const expected = (life.journaled.at(-1)?.rseq ?? 0) + 1;
    if (event.rseq !== expected)
      this.#note(life, 'event_twice', `epoch ${event.epoch}: rseq ${event.rseq} is journaled, expected ${expected}`);
    if (event.rseq >= expected) life.journaled.push(event);
  }

  sent(host: SimHost, sessionId: string, epoch: number): void {
    const life = this.#of(host);
    life.sessionId = sessionId;
    life.epoch = epoch;
  }

  acked(host: SimHost, ackedRseq: number): void {
    const life = this.#of(host);
    life.ackedRseq = Math.max(life.ackedRseq, ackedRseq);
  }

  diskLost(host: SimHost): void {
    this.#of(host).isDiskLost = true;
  }

  workedWithoutLease(host: SimHost, lateMs: number): void {
    const life = this.#of(host);
    const isKnown = this.violations.some(
      ({ rule, sessionId }) => rule === 'cli_without_lease' && sessionId === life.sessionId,
    );
    if (!isKnown)
      this.#note(
        life,
        'cli_without_lease',
        `epoch ${life.epoch}: the CLI worked ${Math.round(lateMs)} ms after its lease`,
      );
  }

  workedAfterClosing(host: SimHost): void {
    const life = this.#of(host);
    this.#note(life, 'cli_without_lease', `epoch ${life.epoch}: the CLI works and its epoch is closed`);
  }

  #note({ sessionId }: Life, rule: Violation['rule'], message: string): void {
    this.violations.push({ rule, sessionId, message });
  }

  #of(host: SimHost): Life {
    const known = this.#lives.get(host);
    if (known !== undefined) return known;
    const life: Life = { sessionId: '', epoch: 0, journaled: [], ackedRseq: 0, isDiskLost: false };
    this.#lives.set(host, life);
    return life;
  }
}
