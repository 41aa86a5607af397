/** What goes wrong, how often, and how often it met something: a fault that nothing noticed is not counted. */
import type { Chance } from './chance.ts';

export const FAULT_KINDS = [
  'drop',
  'duplicate',
  'reorder',
  'delay',
  'cut',
  'partition',
  'throttle',
  'throttle_storm',
  'conflict',
  'lost_answer',
  'stale_index',
  'post_refused',
  'control_crash',
  'lambda_duplicate',
  'runner_crash',
  'torn_write',
  'disk_full',
  'host_loss',
  'ecs_late',
  'ecs_repeated',
  'ecs_missing',
  'clock_skew',
  'upload_failed',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];
export type FaultCounts = Record<FaultKind, number>;

export const noFaults = (): FaultCounts => Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as FaultCounts;

export const addFaults = (sum: FaultCounts, more: FaultCounts): FaultCounts =>
  Object.fromEntries(FAULT_KINDS.map((kind) => [kind, sum[kind] + more[kind]])) as FaultCounts;

export const faultTotal = (counts: FaultCounts): number => FAULT_KINDS.reduce((sum, kind) => sum + counts[kind], 0);

/** Chance of each kind where it may happen: per frame, per call, per write, per event of ECS. */
export type FaultRates = Record<FaultKind, number>;
export const FAULT_RATES: FaultRates = {
  drop: 0.06,
  duplicate: 0.12,
  reorder: 0.2,
  delay: 0.002,
  cut: 0.045,
  partition: 0.018,
  throttle: 0.004,
  throttle_storm: 0.001,
  conflict: 0.1,
  lost_answer: 0.02,
  stale_index: 0.7,
  post_refused: 0.15,
  control_crash: 0.0025,
  lambda_duplicate: 0.15,
  runner_crash: 0.01,
  torn_write: 0.012,
  disk_full: 0.004,
  host_loss: 0.009,
  ecs_late: 0.5,
  ecs_repeated: 0.5,
  ecs_missing: 0.4,
  clock_skew: 0.1,
  upload_failed: 0.3,
};

export class Faults {
  readonly counts = noFaults();
  readonly #chance: Chance;
  readonly #rates: FaultRates;
  #isOn = true;

  constructor(chance: Chance, rates: FaultRates) {
    this.#chance = chance;
    this.#rates = rates;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** From here on nothing goes wrong any more. */
  stop(): void {
    this.#isOn = false;
  }

  /** Whether it is to happen here; whoever lets it happen counts it with `met`. */
  draws(kind: FaultKind): boolean {
    return this.#isOn && this.#chance.is(this.#rates[kind]);
  }

  /** Frames overtake each other also when all is well. */
  get holdsBack(): boolean {
    return this.#chance.is(this.#rates.reorder);
  }

  /** Draws and counts a fault that surely meets something. */
  strikes(kind: FaultKind): boolean {
    const isHit = this.draws(kind);
    if (isHit) this.met(kind);
    return isHit;
  }

  met(kind: FaultKind): void {
    this.counts[kind] += 1;
  }
}
