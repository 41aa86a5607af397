/** Says what the session has used: at each interval, before each change of state, and once at its end. */
import type { Clock } from '../../../shared/clock.ts';
import type { EventDraft } from '../../../shared/events.ts';
import { USAGE_TICK_EARLY_MS } from '../../../shared/limits.ts';
import type { SessionState } from '../../../shared/session.ts';
import { type UsageCounters, ZERO_USAGE } from '../../../shared/usage.ts';
import { UsageMeter } from './usage-meter.ts';

const CLI_VERSION_MAX_CHARS = 60;

export interface UsageTickerOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly runnerBuild: string;
  readonly taskDefinition: string;
  /** What the runner process before this one had counted. */
  readonly restored: { readonly counters: UsageCounters; readonly cliVersion: string } | null;
  /** Offset after the last byte of the terminal stream. */
  readonly headOffset: () => number;
  readonly record: (draft: EventDraft) => void;
  /** Follows each tick of the interval. */
  readonly onTick: () => void;
}

export class UsageTicker {
  readonly meter: UsageMeter;
  readonly #options: UsageTickerOptions;
  #cliVersion: string;
  #last: UsageCounters | null = null;
  #cancel: () => void = () => {};
  #startedMs = 0;

  constructor(options: UsageTickerOptions) {
    const { restored, clock } = options;
    this.#options = options;
    this.#cliVersion = restored?.cliVersion ?? '';
    this.meter = new UsageMeter(restored?.counters ?? ZERO_USAGE, clock.monotonicMs());
  }

  get cliVersion(): string {
    return this.#cliVersion;
  }

  setCliVersion(version: string): void {
    this.#cliVersion = version.slice(0, CLI_VERSION_MAX_CHARS);
  }

  /** What time counts as from here on. */
  enter(state: SessionState, isUnbilled: boolean): void {
    this.meter.enter(state, isUnbilled, this.#options.clock.monotonicMs());
  }

  counters(): UsageCounters {
    return this.meter.counters(this.#options.clock.monotonicMs(), this.#options.headOffset());
  }

  start(): void {
    this.#startedMs = this.#options.clock.monotonicMs();
    this.#cancel = this.#options.clock.after(this.#options.intervalMs, () => {
      this.#tick(this.counters(), false);
      this.#options.onTick();
      this.start();
    });
  }

  stop(): void {
    this.#cancel();
  }

  /** Something leaves at once: the next tick goes with it, instead of soon after it by itself. @returns whether it did */
  tickEarly(): boolean {
    if (this.#options.clock.monotonicMs() - this.#startedMs < USAGE_TICK_EARLY_MS) return false;
    this.stop();
    this.#tick(this.counters(), false);
    this.start();
    return true;
  }

  tickIfChanged(): void {
    const counters = this.counters();
    if (JSON.stringify(counters) !== JSON.stringify(this.#last ?? ZERO_USAGE)) this.#tick(counters, false);
  }

  /** The last tick; none follows. */
  finish(): void {
    this.stop();
    this.#tick(this.counters(), true);
  }

  #tick(counters: UsageCounters, final: boolean): void {
    const { record, runnerBuild, taskDefinition } = this.#options;
    this.#last = counters;
    record({ type: 'usage_tick', counters, final, cliVersion: this.#cliVersion, runnerBuild, taskDefinition });
  }
}
