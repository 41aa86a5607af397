/** Starts the real pty-host with the fake runner, and never leaves one behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { connectPtyHost, type PtyHost, type PtyProcess } from '../../runner-image/src/pty-host/client.ts';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const RunnerLine = z.object({ pid: z.number(), socketPath: z.string() });

export interface StartedHost {
  readonly child: ChildProcess;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** All lines the runners wrote so far, and a wait for one that fits. */
  readonly lines: string[];
  line(fits: (line: string) => boolean): Promise<string>;
  /** The n-th runner's report, counted from 0. */
  runner(index: number): Promise<{ pid: number; socketPath: string }>;
  connect(): Promise<PtyHost>;
}

/** `env` adds to what the fake runner reads; the host dies with this process. */
export const startHost = (mode: string, env: Record<string, string> = {}): StartedHost => {
  const child = spawn(process.execPath, [path('../../runner-image/src/pty-host/main.ts')], {
    env: {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      VILLAGE_RUNNER_MAIN: path('pty-host-fake-runner.ts'),
      VILLAGE_DIE_WITH_PARENT: '1',
      FAKE_RUNNER_MODE: mode,
      ...env,
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    for (const check of [...waiting]) check();
  });
  child.stderr.resume();
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  );
  const find = (fits: (line: string) => boolean, index = 0): Promise<string> =>
    new Promise((resolve) => {
      const check = () => {
        const found = lines.filter(fits)[index];
        if (found === undefined) return;
        waiting.delete(check);
        resolve(found);
      };
      waiting.add(check);
      check();
    });
  const runner = async (index: number) =>
    RunnerLine.parse(JSON.parse(await find((line) => line.includes('"pid"'), index)));
  return {
    child,
    exited,
    lines,
    line: (fits) => find(fits),
    runner,
    connect: async () => connectPtyHost((await runner(0)).socketPath),
  };
};

/** A bash command as a spawn spec. */
export const bash = (id: string, command?: string) => ({
  id,
  file: '/bin/bash',
  args: command === undefined ? ['--norc', '--noprofile'] : ['-c', command],
  env: { PATH: '/usr/bin:/bin', PS1: '$ ', TERM: 'xterm-256color' },
  cwd: '/',
  cols: 80,
  rows: 24,
});

/** Reads a process from now on: acknowledges all, and waits for a text. */
export const collect = (process_: PtyProcess) => {
  const chunks: Buffer[] = [];
  const waiting = new Set<() => void>();
  let nextOffset: number | undefined;
  process_.onData((bytes, rawOffset) => {
    if (nextOffset !== undefined && rawOffset !== nextOffset)
      throw new Error(`offset ${rawOffset}, expected ${nextOffset}`);
    nextOffset = rawOffset + bytes.length;
    chunks.push(Buffer.from(bytes));
    process_.ack(nextOffset);
    for (const check of [...waiting]) check();
  });
  const bytes = () => Buffer.concat(chunks);
  return {
    bytes,
    text: () => bytes().toString('utf8'),
    until: (pattern: RegExp): Promise<RegExpMatchArray> =>
      new Promise((resolve) => {
        const check = () => {
          const found = bytes().toString('utf8').match(pattern);
          if (found === null) return;
          waiting.delete(check);
          resolve(found);
        };
        waiting.add(check);
        check();
      }),
  };
};

/** Live processes whose environment contains `text`. */
export const processesWith = (text: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(text) && stateOf(pid) !== 'Z';
      } catch {
        return false; // It ended while we looked.
      }
    });

/** State letter of a process as in proc(5); undefined when there is none. */
export const stateOf = (pid: number | string): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  } catch {
    return undefined; // No such process.
  }
};
