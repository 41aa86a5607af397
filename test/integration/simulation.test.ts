/** The simulation as part of every run: a tenth of a million faults, and a run that can be repeated. Set VILLAGE_LONG for a million. */
import { describe, expect, it } from 'vitest';
import { DONE_KINDS, doneLine } from '../simulation/done.ts';
import { FAULT_KINDS, faultTotal } from '../simulation/faults.ts';
import { KEPT_SEEDS } from '../simulation/kept-seeds.ts';
import { failureLines, faultTable } from '../simulation/report.ts';
import type { SeedResult } from '../simulation/run-seed.ts';
import { runSeeds } from '../simulation/run-seeds.ts';

const isLong = Boolean(process.env.VILLAGE_LONG);
const FAULTS = isLong ? 1_000_000 : 100_000;
const SEEDS_MAX = isLong ? 20_000 : 2_000;
const TIMEOUT_MS = isLong ? 2 * 60 * 60_000 : 20 * 60_000;
/** Every kind is at least this much of all faults. */
const SHARE_MIN = 0.01;
/** Of every way to run, to wait and to be taken away. */
const DONE_MIN = 50;

describe('simulation', () => {
  it(`keeps every promise under ${FAULTS} faults`, { timeout: TIMEOUT_MS }, async () => {
    const { faults, done, failed, ran, events, epochs } = await runSeeds({
      from: 1,
      seeds: SEEDS_MAX,
      faultsWanted: FAULTS,
    });
    const total = faultTotal(faults);
    console.log(
      [...faultTable(faults), doneLine(done), `${total} faults, ${ran} seeds, ${epochs} epochs, ${events} events`].join(
        '\n',
      ),
    );
    expect(failed.flatMap(failureLines)).toEqual([]);
    expect(total).toBeGreaterThanOrEqual(FAULTS);
    expect(FAULT_KINDS.filter((kind) => faults[kind] < SHARE_MIN * total)).toEqual([]);
    expect(DONE_KINDS.filter((kind) => done[kind] < DONE_MIN)).toEqual([]);
  });

  it.each(KEPT_SEEDS)('seed $seed: $found', { timeout: TIMEOUT_MS }, async ({ seed }) => {
    const { failed } = await runSeeds({ from: seed, seeds: 1 });
    expect(failed.flatMap(failureLines)).toEqual([]);
  });

  it('replays a seed exactly, whatever runs beside it', { timeout: TIMEOUT_MS }, async () => {
    const once = async (threads: number): Promise<SeedResult[]> => {
      const results: SeedResult[] = [];
      await runSeeds({ from: 77, seeds: 2, threads, onResult: (result) => results.push(result) });
      return results.sort((a, b) => a.seed - b.seed);
    };
    expect(await once(2)).toEqual(await once(1));
  });
});
