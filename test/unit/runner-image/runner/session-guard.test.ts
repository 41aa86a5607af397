import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const PROCESS = fileURLToPath(new URL('guarded-process.ts', import.meta.url));

it('knows whose an error is that nobody caught: in timers, promises, sockets and ticks', () => {
  const told: unknown = JSON.parse(execFileSync(process.execPath, [PROCESS], { encoding: 'utf8', env: {} }));
  expect(told).toEqual([
    'answer to b: b',
    'ours: nobody',
    'promise of a: a',
    'tick of b: b',
    'timer in an immediate of a: a',
    'timer of a: a',
  ]);
});
