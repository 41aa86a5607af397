/**
 * Says that nobody changes a mirror, so that it can be copied without waiting for its lock: who copies looks before and after, and throws
 * the copy away when somebody began to change the mirror in between. Writers hold the lock.
 */
import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FILE = 'village-steady';

export interface SteadyMirror {
  /** Another one after each change, whatever the change came to. */
  readonly mark: string;
  /** Of the branches and tags it holds (`digestOfRefs`). */
  readonly refsDigest: string;
}

const PATTERN = /^([0-9a-f-]{36}) ([0-9a-f]{64})$/;

/** `null` while somebody changes it, and where nobody has said anything yet. */
export const steadyMirror = async (folder: string): Promise<SteadyMirror | null> => {
  const text = await readFile(join(folder, FILE), 'utf8').catch(() => '');
  const [, mark, refsDigest] = PATTERN.exec(text) ?? [];
  return mark === undefined || refsDigest === undefined ? null : { mark, refsDigest };
};

/** Nobody has changed it since, nor begun to. */
export const isStillSteady = async (folder: string, { mark }: SteadyMirror): Promise<boolean> =>
  (await steadyMirror(folder))?.mark === mark;

/** To be called with the lock held, before the first change. */
export const beginChange = (folder: string): Promise<void> => rm(join(folder, FILE), { force: true });

/** To be called with the lock held, after the last change. */
export const markSteady = async (folder: string, refsDigest: string): Promise<void> => {
  const fresh = join(folder, `${FILE}.new`);
  await writeFile(fresh, `${randomUUID()} ${refsDigest}`, { mode: 0o600 });
  await rename(fresh, join(folder, FILE));
};
