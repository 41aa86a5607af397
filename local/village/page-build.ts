/** Builds the page when it is missing or older than its sources, so that `npm start` is one command. */
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, sleep } from '../../shared/clock.ts';
import { takeLock } from './lock.ts';
import { ROOT } from './paths.ts';
import { VillageError } from './village-error.ts';

const BUILD_TIMEOUT_MS = 180_000;
const LOCK_POLL_MS = 200;
const OUTPUT_KEPT_CHARS = 4_000;
const SOURCES = ['web/src', 'web/public', 'web/index.html', 'web/vite.config.ts', 'shared'];

const newestMs = (path: string): number => {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newestMs(join(path, name))));
};

export const pageDirOf = (root = ROOT): string => join(root, 'web/dist');

/** Whether web/dist is missing or older than what it is made of. */
export const isPageStale = (root = ROOT): boolean => {
  const builtMs = newestMs(join(pageDirOf(root), 'index.html'));
  return builtMs === 0 || SOURCES.some((source) => newestMs(join(root, source)) > builtMs);
};

/** Runs vite; resolves to its last output when it failed. */
const runVite = (root: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ['node_modules/vite/bin/vite.js', 'build', '--config', 'web/vite.config.ts'],
      {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: BUILD_TIMEOUT_MS,
        killSignal: 'SIGKILL',
      },
    );
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-OUTPUT_KEPT_CHARS);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code) => resolve(code === 0 ? undefined : output || `vite ended with ${code}`));
  });

export type PageBuild =
  | { readonly kind: 'fresh' | 'built' }
  /** `usable`: an older build is there. */
  | { readonly kind: 'failed'; readonly output: string; readonly usable: boolean };

/** Two villages of one checkout must not write the same files at once: the second waits, and then finds a fresh page. */
const whenAlone = async <T>(root: string, clock: Clock, run: () => Promise<T>): Promise<T> => {
  const deadlineMs = clock.monotonicMs() + BUILD_TIMEOUT_MS;
  for (;;) {
    let release: () => void;
    try {
      release = takeLock(join(root, 'node_modules/.cache/village-page'));
    } catch (error) {
      if (!(error instanceof VillageError) || clock.monotonicMs() > deadlineMs) throw error;
      await sleep(clock, LOCK_POLL_MS);
      continue;
    }
    try {
      return await run();
    } finally {
      release();
    }
  }
};

export const buildPage = (clock: Clock, root = ROOT): Promise<PageBuild> => {
  if (!isPageStale(root)) return Promise.resolve({ kind: 'fresh' });
  return whenAlone(root, clock, async () => {
    if (!isPageStale(root)) return { kind: 'fresh' };
    const failure = await runVite(root);
    if (failure === undefined) return { kind: 'built' };
    return { kind: 'failed', output: failure, usable: newestMs(join(pageDirOf(root), 'index.html')) > 0 };
  });
};
