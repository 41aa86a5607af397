/** Runs many seeds on several threads; results come in any order, each seed's own result never depends on the others. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { addDone, type Done } from './done.ts';
import { addFaults, type FaultCounts, faultTotal, noFaults } from './faults.ts';
import type { PlantName } from './plants.ts';
import type { SeedResult } from './run-seed.ts';

export interface SeedsOptions {
  readonly from: number;
  readonly seeds: number;
  readonly plant?: PlantName;
  /** Stops early once so many faults were met. */
  readonly faultsWanted?: number;
  /** Stops once a seed came out like this. */
  readonly until?: (result: SeedResult) => boolean;
  readonly threads?: number;
  readonly onResult?: (result: SeedResult) => void;
}

export interface SeedsResult {
  readonly ran: number;
  readonly faults: FaultCounts;
  readonly done: Done;
  readonly events: number;
  readonly epochs: number;
  /** Failing seeds, lowest first. */
  readonly failed: readonly SeedResult[];
}

const THREADS_MAX = 8;

export const runSeeds = async (options: SeedsOptions): Promise<SeedsResult> => {
  const { from, seeds, plant = null, faultsWanted = Number.POSITIVE_INFINITY, until = () => false } = options;
  const results: SeedResult[] = [];
  let faults = noFaults();
  let next = from;
  const isEnough = () => next >= from + seeds || faultTotal(faults) >= faultsWanted || results.some(until);
  const thread = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: { plant } });
      const more = (): void => {
        if (isEnough()) void worker.terminate().then(() => resolve());
        else {
          worker.postMessage(next);
          next += 1;
        }
      };
      worker.once('error', reject);
      worker.on('message', (result: SeedResult) => {
        results.push(result);
        faults = addFaults(faults, result.faults);
        options.onResult?.(result);
        more();
      });
      more();
    });
  const count = Math.min(seeds, THREADS_MAX, options.threads ?? availableParallelism());
  await Promise.all(Array.from({ length: count }, thread));
  const sum = (name: 'events' | 'epochs') => results.reduce((total, result) => total + result[name], 0);
  const failed = results.filter(({ violations }) => violations.length > 0).sort((a, b) => a.seed - b.seed);
  const done = addDone(results.map((result) => result.done));
  return { ran: results.length, faults, done, events: sum('events'), epochs: sum('epochs'), failed };
};
