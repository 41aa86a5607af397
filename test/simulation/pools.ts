/** Where the sessions of a world run. Seeds of odd number have tasks alone, as all once had: what they found they still show. */
import type { Chance } from './chance.ts';
import { GROUP } from './own-machines.ts';

export interface Pools {
  /** Customer-hosted runners to begin with. */
  readonly machines: number;
  /** Idle tasks to keep; none at the end. */
  warmSize: number;
  readonly choose: (chance: Chance) => string;
}

export const drawPools = (seed: number, chance: Chance): Pools | null => {
  if (seed % 2 === 1) return null;
  const groupShare = chance.pick([0.5, 0.8, 1]);
  return {
    machines: chance.int(1, 3),
    warmSize: chance.int(0, 3),
    choose: (drawn) => (drawn.is(groupShare) ? GROUP : 'hosted'),
  };
};
