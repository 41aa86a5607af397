/** `npm run soak`: prints one JSON object; the exit code is 1 where anything was lost. */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { parseOptions, USAGE } from './options.ts';
import { soak } from './soak.ts';

const asked = parseOptions(process.argv.slice(2));
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const machine = () => ({
  ...{ cores: cpus().length, memoryGb: Math.round(totalmem() / 1e9), node: process.version },
  load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
});

switch (asked.kind) {
  case 'help':
    process.stdout.write(`${USAGE}\n`);
    break;
  case 'bad':
    say(`${asked.message} See: npm run soak -- --help`);
    process.exitCode = 1;
    break;
  case 'virtual':
    break;
  case 'soak': {
    const command = ['npm run soak --', ...process.argv.slice(2)].join(' ');
    const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
    const before = machine();
    const result = await soak(asked.options, say);
    process.stdout.write(`${JSON.stringify({ command, commit, machine: before, ...result }, null, 2)}\n`);
    process.exitCode = result.lost === 0 && result.leftProcesses === 0 ? 0 : 1;
  }
}
