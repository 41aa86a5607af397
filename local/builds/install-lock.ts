/** Keeps two installers of one CLI apart, also across processes; the lock of one that died is taken over. */
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { type Clock, sleep } from '../../shared/clock.ts';

const LOOK_EVERY_MS = 200;
/** A lock without a readable owner is being written just now, or was left half written. */
const HALF_WRITTEN_MS = 5_000;

const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives under another user.
    return !isErrno(error, 'ESRCH');
  }
}

async function isStale(lockFile: string): Promise<boolean> {
  try {
    const pid = Number(await readFile(lockFile, 'utf8'));
    if (Number.isInteger(pid) && pid > 0) return !isAlive(pid);
    return Date.now() - (await stat(lockFile)).mtimeMs > HALF_WRITTEN_MS;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Waits until `lockFile` is ours and resolves with what releases it; rejects with `signal`'s reason. `onWait` is told once if another holds it. */
export async function takeInstallLock(
  lockFile: string,
  clock: Clock,
  signal: AbortSignal,
  onWait: () => void,
): Promise<() => Promise<void>> {
  for (let isFirst = true; ; isFirst = false) {
    try {
      await writeFile(lockFile, String(process.pid), { flag: 'wx' });
      return () => rm(lockFile, { force: true });
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    if (await isStale(lockFile)) {
      // Only one of several who see the stale lock wins the rename; the others find it gone.
      const aside = `${lockFile}.${process.pid}.${crypto.randomUUID()}`;
      await rename(lockFile, aside).then(
        () => rm(aside, { force: true }),
        (error: unknown) => {
          if (!isErrno(error, 'ENOENT')) throw error;
        },
      );
      continue;
    }
    if (isFirst) onWait();
    await sleep(clock, LOOK_EVERY_MS, signal);
  }
}
