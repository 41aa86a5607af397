/** A named start series: each step says how long it took, and what was started stops in reverse, also when a later step fails. */
import type { Clock } from '../../shared/clock.ts';

export interface Series {
  /** Runs a step and keeps its stop. After `stop` was called it throws instead of starting anything more. */
  step<T>(name: string, start: () => Promise<T> | T, stop?: (value: T) => Promise<void> | void): Promise<T>;
  /** Stops everything in reverse; every stop is tried, problems are reported. Repeats share the first call. */
  stop(): Promise<void>;
}

export interface SeriesOptions {
  readonly clock: Clock;
  /** One line, without its end. */
  readonly print: (line: string) => void;
  readonly warn: (line: string) => void;
}

export class SeriesStopped extends Error {
  override readonly name = 'SeriesStopped';
}

export const startSeries = ({ clock, print, warn }: SeriesOptions): Series => {
  const stops: { name: string; stop: () => Promise<void> | void }[] = [];
  let stopping: Promise<void> | undefined;

  const stopAll = async (): Promise<void> => {
    for (let last = stops.pop(); last !== undefined; last = stops.pop()) {
      try {
        await last.stop();
      } catch (error) {
        // The others must still stop.
        warn(`${last.name} did not stop cleanly: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  };
  return {
    async step(name, start, stop) {
      if (stopping !== undefined) throw new SeriesStopped(`stopped before ${name}`);
      const beganMs = clock.monotonicMs();
      const value = await start();
      if (stop !== undefined) stops.push({ name, stop: () => stop(value) });
      // A stop that came meanwhile may be through its list already: what just started goes too.
      if (stopping !== undefined) {
        await stopping;
        await stopAll();
        throw new SeriesStopped(`stopped during ${name}`);
      }
      print(`  ${name.padEnd(24)} ${String(Math.round(clock.monotonicMs() - beganMs)).padStart(6)} ms`);
      return value;
    },
    stop() {
      stopping ??= stopAll();
      return stopping;
    },
  };
};
