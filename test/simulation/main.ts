/** `npm run simulate -- --seeds N [--from SEED]`: prints the faults by kind, and each failing seed with the command that replays it. */
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { doneLine } from './done.ts';
import { faultTotal } from './faults.ts';
import { failureLines, faultTable } from './report.ts';
import { runSeeds } from './run-seeds.ts';

const USAGE = 'npm run simulate -- --seeds N [--from SEED]: N and SEED are whole numbers from 1';
const Count = z.coerce.number().int().min(1);

const main = async (): Promise<number> => {
  const { values } = parseArgs({ options: { seeds: { type: 'string' }, from: { type: 'string' } } });
  const seeds = Count.parse(values.seeds ?? '100');
  const from = Count.parse(values.from ?? '1');
  const startedMs = performance.now();
  const print = (lines: readonly string[]): void => console.log(lines.join('\n'));
  const result = await runSeeds({
    ...{ from, seeds },
    onResult: (seed) => {
      if (seed.violations.length > 0) print(failureLines(seed));
    },
  });
  const tookSec = ((performance.now() - startedMs) / 1_000).toFixed(1);
  const { ran, faults, done, events, epochs, failed } = result;
  print([...faultTable(faults), `${'all'.padEnd(18)}${String(faultTotal(faults)).padStart(9)}`]);
  print([
    doneLine(done),
    `${ran} seeds, ${epochs} epochs, ${events} events stored, ${tookSec} s; ${failed.length} seeds failed`,
  ]);
  return failed.length === 0 ? 0 : 1;
};

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof z.ZodError || error instanceof TypeError ? USAGE : error);
  return 2;
});
