/** Removes what a session left on disk, also when its runner is gone: no orphan directory. */
import { randomUUID } from 'node:crypto';
import { chmod, lstat, opendir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { WORKSPACE_LEASE_MS } from '../../../shared/limits.ts';
import { isSessionName, leasesFolder, scratchFolder, sessionPaths, workspacesFolder } from './layout.ts';
import { isLeaseLive, readLease, type WorkspaceLease } from './lease.ts';

const TRASH = '.trash-';
const FOLDER_MODE = 0o700;

/** Folders without write permission refuse to be emptied (Go's module cache, `chmod -w`); links are never followed. */
const makeFoldersWritable = async (folder: string): Promise<void> => {
  await chmod(folder, FOLDER_MODE);
  for await (const entry of await opendir(folder)) {
    if (entry.isDirectory()) await makeFoldersWritable(join(folder, entry.name));
  }
};

/** Also where folders refuse to be emptied; throws what stays in the way after that. */
export const removeTree = async (path: string): Promise<void> => {
  const stats = await lstat(path).catch(() => null);
  if (stats === null) return;
  if (stats.isDirectory()) {
    try {
      await rm(path, { recursive: true, maxRetries: 3 });
      return;
    } catch {
      // Most often EACCES under a read-only folder; what the second try cannot remove either is thrown from there.
      await makeFoldersWritable(path);
    }
  }
  await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
};

/** Out of the way first: a removal that is interrupted never looks like a workspace. */
const discard = async (folder: string, name: string): Promise<void> => {
  const trash = join(folder, `${TRASH}${name}-${randomUUID()}`);
  try {
    await rename(join(folder, name), trash);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw error;
  }
  await removeTree(trash);
};

/** Removes workspace, private git data and lease of a session whose processes have ended. Fine to repeat. */
export const removeWorkspace = async (
  root: string,
  sessionId: string,
  { keepsLease = false }: { readonly keepsLease?: boolean } = {},
): Promise<void> => {
  const paths = sessionPaths(root, sessionId);
  const done = await Promise.allSettled([
    discard(workspacesFolder(root), sessionId),
    discard(scratchFolder(root), sessionId),
  ]);
  for (const result of done) if (result.status === 'rejected') throw result.reason;
  if (!keepsLease) await rm(paths.lease, { force: true });
};

export interface SweepOptions {
  readonly nowMs: number;
  readonly leaseMs?: number;
  /** Asked about each orphan, with its lease; `false` leaves it for now. With it, younger leftovers of removals are left as well. */
  readonly confirm?: (sessionId: string, lease: WorkspaceLease | null) => boolean;
}

export interface SweepResult {
  readonly removed: readonly string[];
  /** Not live here, but leased by another runner, or not confirmed. */
  readonly leased: readonly string[];
  readonly failed: readonly { readonly sessionId: string; readonly message: string }[];
}

const isOlder = (path: string, thanMs: number): Promise<boolean> =>
  lstat(path).then(
    ({ ctimeMs }) => ctimeMs < thanMs,
    () => false,
  );

const entriesOf = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

const sessionsOnDisk = async (root: string): Promise<string[]> => {
  const leases = (await entriesOf(leasesFolder(root))).flatMap((name) =>
    name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : [],
  );
  const folders = [...(await entriesOf(workspacesFolder(root))), ...(await entriesOf(scratchFolder(root)))];
  return [...new Set([...folders, ...leases])].filter(isSessionName).sort();
};

/**
 * Removes what belongs to no session: neither in `liveSessionIds` nor under a lease that was renewed in the last
 * `leaseMs`. One that cannot be removed is reported and does not stop the others.
 */
export const sweepOrphans = async (
  root: string,
  liveSessionIds: ReadonlySet<string>,
  { nowMs, leaseMs = WORKSPACE_LEASE_MS, confirm }: SweepOptions,
): Promise<SweepResult> => {
  const removed: string[] = [];
  const leased: string[] = [];
  const failed: { sessionId: string; message: string }[] = [];
  for (const folder of [workspacesFolder(root), scratchFolder(root)]) {
    for (const name of await entriesOf(folder)) {
      if (!name.startsWith(TRASH)) continue;
      const path = join(folder, name);
      // Another runner may be at it.
      if (confirm && !(await isOlder(path, nowMs - leaseMs))) continue;
      // What an interrupted removal left; if it still cannot be removed, the next sweep tries again.
      await removeTree(path).catch(() => undefined);
    }
  }
  for (const sessionId of await sessionsOnDisk(root)) {
    if (liveSessionIds.has(sessionId)) continue;
    const lease = await readLease(root, sessionId);
    if (isLeaseLive(lease, nowMs, leaseMs) || confirm?.(sessionId, lease) === false) {
      leased.push(sessionId);
      continue;
    }
    try {
      await removeWorkspace(root, sessionId);
      removed.push(sessionId);
    } catch (error) {
      failed.push({ sessionId, message: String(error) });
    }
  }
  return { removed, leased, failed };
};
