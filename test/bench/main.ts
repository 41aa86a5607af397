/** `npm run bench -- <name> [n]`: prints JSON with command, commit, n, p50, p99 and the baseline of the same run. */
import { cpus, totalmem } from 'node:os';
import { bulk } from './bulk.ts';
import { cost } from './cost.ts';
import { echo } from './echo.ts';
import { fairness } from './fairness.ts';
import { fanout } from './fanout.ts';
import { commit, endAll } from './harness.ts';
import { idle } from './idle.ts';
import { ingest } from './ingest.ts';
import { page } from './page.ts';
import { reconnect } from './reconnect.ts';
import { stall } from './stall.ts';
import { start } from './start.ts';
import { warm } from './warm.ts';

const BENCHES: Readonly<Record<string, (n: number | undefined) => Promise<object>>> = {
  echo: (n) => echo(n ?? 300),
  bulk: () => bulk(),
  start: (n) => start(n ?? 10),
  warm: (n) => warm(n ?? 15),
  page: (n) => page(n ?? 10),
  idle: (n) => idle(n ?? 5),
  fairness: (n) => fairness(n ?? 300),
  fanout: (n) => fanout(n ?? 100),
  stall: () => stall(),
  cost: (n) => cost(n ?? 60),
  ingest: (n) => ingest(n ?? 60),
  reconnect: (n) => reconnect(n ?? 50),
};

const [name = '', count] = process.argv.slice(2);
const bench = BENCHES[name];
if (bench === undefined || (count !== undefined && !/^[1-9]\d{0,4}$/.test(count))) {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(BENCHES).join('|')} [n]\n`);
  process.exit(1);
}
try {
  const result = await bench(count === undefined ? undefined : Number(count));
  const machine = { cores: cpus().length, memoryGb: Math.round(totalmem() / 1e9), node: process.version };
  process.stdout.write(
    `${JSON.stringify({ command: `npm run bench -- ${[name, count].filter(Boolean).join(' ')}`, commit: commit(), machine, ...result }, null, 2)}\n`,
  );
} finally {
  await endAll();
}
