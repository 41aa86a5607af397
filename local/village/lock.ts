/** One village per data directory: two would share a database file that knows only one owner. */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { VillageError } from './village-error.ts';

const Lock = z.object({ pid: z.int().min(1), startTicks: z.string(), takenAt: z.string() });
type Lock = z.infer<typeof Lock>;
const TAKEOVER_ATTEMPTS = 5;

/** Start of a process in clock ticks since boot, or undefined when it does not run: a pid is reused one day, the pair is not. */
export const startTicksOf = (pid: number): string | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined; // No such process.
  }
};

const isHeld = (lock: Lock): boolean => startTicksOf(lock.pid) === lock.startTicks;

const readLock = (path: string): Lock | undefined => {
  try {
    return Lock.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined; // Missing, or of no use: nobody can hold it.
  }
};

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

/** Puts the complete lock file in place in one step: false when there is one already. */
const tryTake = (path: string, lock: Lock): boolean => {
  const own = `${path}.${lock.pid}`;
  writeFileSync(own, JSON.stringify(lock), { mode: 0o600 });
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
};

const makeDir = (dataDir: string): void => {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new VillageError(
      `The data directory ${dataDir} cannot be made (${error instanceof Error ? error.message : String(error)}): name another with --data-dir.`,
    );
  }
};

/** Takes the lock and returns what gives it back. A lock whose process is gone is taken over. Throws VillageError when it is held. */
export const takeLock = (dataDir: string): (() => void) => {
  makeDir(dataDir);
  const path = join(dataDir, 'village.lock');
  const startTicks = startTicksOf(process.pid);
  if (startTicks === undefined) throw new VillageError('The village needs /proc, which Linux has.');
  const lock: Lock = { pid: process.pid, startTicks, takenAt: new Date().toISOString() };
  for (let attempt = 0; attempt < TAKEOVER_ATTEMPTS; attempt += 1) {
    if (tryTake(path, lock))
      return () => {
        const current = readLock(path);
        if (current?.pid === lock.pid && current.startTicks === lock.startTicks) rmSync(path, { force: true });
      };
    const holder = readLock(path);
    if (holder !== undefined && isHeld(holder))
      throw new VillageError(
        `Another village (process ${holder.pid}) uses ${dataDir}: stop it, or name another folder with --data-dir.`,
      );
    rmSync(path, { force: true });
  }
  throw new VillageError(`${path} cannot be taken: another village is starting there. Try again.`);
};
