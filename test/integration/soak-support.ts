/** `npm run soak` as a test runs it: a process of its own, whose one JSON object is the answer. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { dieWithParent } from '../../local/dynamodb/die-with-parent.ts';
import { ROOT } from '../fakes/village.ts';

const Growth = z.object({ firstMb: z.number(), lastMb: z.number(), firstFiles: z.number(), lastFiles: z.number() });
const Soak = z.looseObject({
  lost: z.int(),
  violations: z.array(z.unknown()),
  endStates: z.record(z.string(), z.int()),
  leftProcesses: z.int(),
  keystroke: z.object({ n: z.int(), p50Ms: z.number(), p99Ms: z.number(), missing: z.int() }),
  mbPerSession: z.object({ village: z.number(), runner: z.number(), ptyHost: z.number(), sum: z.number() }),
  growth: z.object({ village: Growth, runner: Growth, ptyHost: Growth }),
});
const VirtualSoak = z.looseObject({
  lost: z.int(),
  violations: z.array(z.unknown()),
  sessions: z.int(),
  dials: z.int(),
  heapMb: z.array(z.number()),
  timers: z.array(z.int()),
});

/** Growth that is noise: a share, and what a collector may not have come to. */
const NOISE_SHARE = 1.15;
const NOISE_MB = 15;
const NOISE_FILES = 20;

const run = (args: readonly string[]): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const {
      command,
      args: wrapped,
      stdin,
    } = dieWithParent(process.execPath, [join(ROOT, 'test/soak/main.ts'), ...args]);
    const child = spawn(command, wrapped, { cwd: ROOT, stdio: [stdin, 'pipe', 'pipe'] });
    let [answer, said] = ['', ''];
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-8_000);
    });
    child.once('error', reject);
    child.once('close', (code) => {
      console.log(answer);
      // Where something was lost the object says what; without one the run itself failed.
      if (answer === '') reject(new Error(`soak ${args.join(' ')} ended with ${code}: ${said}`));
      else resolve(JSON.parse(answer));
    });
  });

/** Runs it, and expects that nothing was lost and everything ended. */
export const soaked = async (...args: string[]) => {
  const result = Soak.parse(await run(args));
  expect(result.violations).toEqual([]);
  expect(result).toMatchObject({ lost: 0, leftProcesses: 0 });
  expect(Object.keys(result.endStates)).toEqual(['completed']);
  expect(result.keystroke.n).toBeGreaterThan(0);
  expect(result.keystroke.missing).toBe(0);
  return result;
};

export const expectFlat = ({ growth }: Awaited<ReturnType<typeof soaked>>): void => {
  for (const [part, { firstMb, lastMb, firstFiles, lastFiles }] of Object.entries(growth)) {
    expect(lastMb, `memory of ${part}`).toBeLessThan(firstMb * NOISE_SHARE + NOISE_MB);
    expect(lastFiles, `open files of ${part}`).toBeLessThan(firstFiles + NOISE_FILES);
  }
};

export const soakedVirtually = async (hours: number) => {
  const result = VirtualSoak.parse(await run(['--hours', String(hours)]));
  expect(result.violations).toEqual([]);
  expect(result.lost).toBe(0);
  const [first = 0] = result.heapMb;
  expect(Math.max(...result.heapMb)).toBeLessThan(first + NOISE_MB);
  expect(Math.max(...result.timers)).toBeLessThan(Math.min(...result.timers) + NOISE_FILES);
  return result;
};
