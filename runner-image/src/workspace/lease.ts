/** Says that somebody still cares for a workspace: several runners may share one root, and none knows the others' sessions. */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { GIT_SMALL_FILE_MAX_BYTES, WORKSPACE_LEASE_MS } from '../../../shared/limits.ts';
import { HOSTED_POOL, Pool } from '../../../shared/session.ts';
import { leasesFolder, sessionPaths } from './layout.ts';
import { readInside } from './open-inside.ts';

export const WorkspaceLease = z.strictObject({
  v: z.literal(1),
  sessionId: z.string().min(1).max(120),
  runnerId: z.string().min(1).max(120),
  renewedAtMs: z.int().min(0),
  /** Of the session that holds it. */
  epoch: z.int().min(0).default(0),
  /** Where the session asked to run: what runs on the platform's own tasks is over when the platform has ended those. */
  pool: Pool.default(HOSTED_POOL),
});
export type WorkspaceLease = z.infer<typeof WorkspaceLease>;
export type LeaseClaim = Omit<z.input<typeof WorkspaceLease>, 'v'>;

/** Writes or renews the lease; `root` without links. Call it before preparing and with every usage tick. That of a later epoch stays. */
export const renewLease = async (root: string, lease: LeaseClaim): Promise<void> => {
  if (await isOfLaterEpoch(root, lease)) return;
  const path = sessionPaths(root, lease.sessionId).lease;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const fresh = `${path}.${randomUUID()}`;
  await writeFile(fresh, JSON.stringify({ v: 1, ...lease }), { mode: 0o600 });
  await rename(fresh, path);
};

/** The folder belongs to a later epoch: a runner that was fenced off and comes to late must leave it alone. */
export const isOfLaterEpoch = async (
  root: string,
  { sessionId, epoch = 0 }: Pick<LeaseClaim, 'sessionId' | 'epoch'>,
): Promise<boolean> => ((await readLease(root, sessionId))?.epoch ?? 0) > epoch;

/** The session's lease; `null` when there is none or it cannot be read. */
export const readLease = async (root: string, sessionId: string): Promise<WorkspaceLease | null> => {
  const name = basename(sessionPaths(root, sessionId).lease);
  const bytes = await readInside(leasesFolder(root), name, GIT_SMALL_FILE_MAX_BYTES);
  if (bytes === null) return null;
  try {
    return WorkspaceLease.safeParse(JSON.parse(bytes.toString('utf8'))).data ?? null;
  } catch {
    // Not JSON: no runner wrote it, so it protects nothing.
    return null;
  }
};

/** A lease from the future is expired too: clocks that jump must not keep a folder for ever. */
export const isLeaseLive = (lease: WorkspaceLease | null, nowMs: number, leaseMs = WORKSPACE_LEASE_MS): boolean =>
  lease !== null && Math.abs(nowMs - lease.renewedAtMs) <= leaseMs;
