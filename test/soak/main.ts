/** `npm run soak`: prints one JSON object; the exit code is 1 where anything was lost. */
import { execFileSync } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { parseOptions, USAGE } from './options.ts';
import { soak } from './soak.ts';
import { virtualSoak } from './virtual-soak.ts';

const asked = parseOptions(process.argv.slice(2));
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const machine = () => ({
  ...{ cores: cpus().length, memoryGb: Math.round(totalmem() / 1e9), node: process.version },
  load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
});

const command = ['npm run soak --', ...process.argv.slice(2)].join(' ');
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();

switch (asked.kind) {
  case 'help':
    process.stdout.write(`${USAGE}\n`);
    break;
  case 'bad':
    say(`${asked.message} See: npm run soak -- --help`);
    process.exitCode = 1;
    break;
  case 'virtual': {
    const result = await virtualSoak(asked.hours, say);
    process.stdout.write(`${JSON.stringify({ command, commit, machine: machine(), ...result }, null, 2)}\n`);
    process.exitCode = result.lost === 0 ? 0 : 1;
    break;
  }
  case 'soak': {
    const before = machine();
    const result = await soak(asked.options, say);
    process.stdout.write(`${JSON.stringify({ command, commit, machine: before, ...result }, null, 2)}\n`);
    process.exitCode = result.lost === 0 && result.leftProcesses === 0 ? 0 : 1;
  }
}
