/** Folders of sessions that a killed runner could not remove: no task outlives its village, so what belongs to tasks belongs to nobody. */
import { chmod, opendir, readdir, readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { WORKSPACE_LEASE_MS } from '../../shared/limits.ts';
import { HOSTED_POOL } from '../../shared/session.ts';

/** What the runner keeps per session under WORKSPACE_ROOT; the mirrors of repositories stay. */
const SESSION_FOLDERS = ['workspaces', 'scratch', 'leases'];
const LEASE = /^(.+)\.json$/;
const FOLDER_MODE = 0o700;

/** As far as it says who holds the folder: a runner of one's own may share the root with the village. */
const Lease = z.object({ renewedAtMs: z.number(), pool: z.string().default(HOSTED_POOL) });

/** Folders without write permission refuse to be emptied (Go's module cache); links are never followed. */
const makeFoldersWritable = async (folder: string): Promise<void> => {
  await chmod(folder, FOLDER_MODE);
  for await (const entry of await opendir(folder))
    if (entry.isDirectory()) await makeFoldersWritable(join(folder, entry.name));
};

const entriesOf = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

const isHeld = async (file: string, nowMs: number): Promise<boolean> => {
  try {
    const { renewedAtMs, pool } = Lease.parse(JSON.parse(await readFile(file, 'utf8')));
    return pool !== HOSTED_POOL && Math.abs(nowMs - renewedAtMs) <= WORKSPACE_LEASE_MS;
  } catch {
    // Gone, or written by no runner: it holds nothing.
    return false;
  }
};

const heldSessions = async (workspaceRoot: string, nowMs: number): Promise<Set<string>> => {
  const held = new Set<string>();
  for (const name of await entriesOf(join(workspaceRoot, 'leases'))) {
    const sessionId = LEASE.exec(name)?.[1];
    if (sessionId !== undefined && (await isHeld(join(workspaceRoot, 'leases', name), nowMs))) held.add(sessionId);
  }
  return held;
};

/** Only while no task runs. What cannot be removed is told to `warn` and stays: it must not keep the village from starting. */
export const removeLeftWorkspaces = async (
  workspaceRoot: string,
  nowMs: number,
  warn: (line: string) => void,
): Promise<void> => {
  const held = await heldSessions(workspaceRoot, nowMs);
  for (const folder of SESSION_FOLDERS.map((name) => join(workspaceRoot, name))) {
    for (const name of await entriesOf(folder)) {
      if (held.has(LEASE.exec(name)?.[1] ?? name)) continue;
      const path = join(folder, name);
      const remove = (): Promise<void> => rm(path, { recursive: true, force: true, maxRetries: 3 });
      await remove()
        .catch(() => makeFoldersWritable(path).then(remove))
        .catch((error: unknown) =>
          warn(`${path} cannot be removed: ${error instanceof Error ? error.message : error}`),
        );
    }
    // With nothing in it it goes, too.
    await rmdir(folder).catch(() => undefined);
  }
};
