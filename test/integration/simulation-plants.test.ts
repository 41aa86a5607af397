/** The simulation finds bugs: each planted one breaks the promise it must break, within a bounded number of seeds. */
import { describe, expect, it } from 'vitest';
import type { Rule } from '../invariants/violation.ts';
import { PLANTS, type PlantName } from '../simulation/plants.ts';
import { runSeeds } from '../simulation/run-seeds.ts';

const SEEDS_MAX = 120;
const TIMEOUT_MS = 5 * 60_000;

describe('planted bugs', () => {
  it.each(Object.keys(PLANTS) as PlantName[])('%s is found', { timeout: TIMEOUT_MS }, async (plant) => {
    const breaks: readonly Rule[] = PLANTS[plant].breaks;
    let seed: number | null = null;
    await runSeeds({
      ...{ from: 1, seeds: SEEDS_MAX, plant },
      until: ({ violations }) => violations.some(({ rule }) => breaks.includes(rule)),
      onResult: (result) => {
        if (result.violations.some(({ rule }) => breaks.includes(rule))) seed ??= result.seed;
      },
    });
    expect(seed, `no seed up to ${SEEDS_MAX} breaks ${breaks.join(' or ')}`).not.toBeNull();
  });
});
