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
  'machine_restart',
  'claim_race',
  'assign_lost',
  'assign_repeated',
  'hello_repeated',
  'record_late',
  'record_repeated',
  'record_disordered',
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
  machine_restart: 0,
  claim_race: 0,
  assign_lost: 0,
  assign_repeated: 0,
  hello_repeated: 0,
  record_late: 0,
  record_repeated: 0,
  record_disordered: 0,
};

/** Where sessions also run on customer-hosted and on idle runners. */
export const POOL_FAULT_RATES: FaultRates = {
  ...FAULT_RATES,
  delay: 0.0012,
  control_crash: 0.002,
  lost_answer: 0.015,
  throttle: 0.003,
  disk_full: 0.001,
  runner_crash: 0.006,
  host_loss: 0.004,
  machine_restart: 0.016,
  upload_failed: 0.45,
  claim_race: 0.7,
  assign_lost: 0.4,
  assign_repeated: 0.6,
  hello_repeated: 0.2,
  record_late: 0.6,
  record_repeated: 0.75,
  /** Comes of those that are late. */
  record_disordered: 0,
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
    const rate = this.#rates[kind];
    return this.#isOn && rate > 0 && this.#chance.is(rate);
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
