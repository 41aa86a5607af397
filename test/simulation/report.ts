/** What a run of seeds tells people: faults by kind, and for each failing seed what broke and how to see it again. */
import { FAULT_KINDS, type FaultCounts, faultTotal } from './faults.ts';
import type { SeedResult } from './run-seed.ts';

const SHOWN_MAX = 6;
const MESSAGE_MAX_CHARS = 400;

export const faultTable = (counts: FaultCounts): string[] => {
  const total = faultTotal(counts);
  const share = (count: number) => (total === 0 ? 0 : (100 * count) / total);
  return FAULT_KINDS.map((kind) => {
    const count = counts[kind];
    return `${kind.padEnd(18)}${String(count).padStart(9)}${share(count).toFixed(2).padStart(8)} %`;
  });
};

export const failureLines = ({ seed, violations }: SeedResult): string[] => [
  `seed ${seed} breaks ${violations.length}; again: npm run simulate -- --seeds 1 --from ${seed}`,
  ...violations
    .slice(0, SHOWN_MAX)
    .map(({ rule, sessionId, message }) => `  ${rule} ${sessionId ?? ''}: ${message.slice(0, MESSAGE_MAX_CHARS)}`),
];
