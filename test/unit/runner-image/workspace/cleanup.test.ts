import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { removeWorkspace, sweepOrphans } from '../../../../runner-image/src/workspace/cleanup.ts';
import { sessionPaths } from '../../../../runner-image/src/workspace/layout.ts';
import { isOfLaterEpoch, readLease, renewLease } from '../../../../runner-image/src/workspace/lease.ts';

let root = '';
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'cleanup-test-')));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const makeSession = (sessionId: string) => {
  const paths = sessionPaths(root, sessionId);
  for (const folder of [join(paths.workspace, 'deep'), paths.scratch]) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'file'), 'x');
  }
  return paths;
};

const left = (folder: string) => (existsSync(join(root, folder)) ? readdirSync(join(root, folder)) : []);

describe('removeWorkspace', () => {
  it('removes workspace, private data and lease, touches no other session, and may be repeated', async () => {
    makeSession('s1');
    makeSession('s2');
    await renewLease(root, { sessionId: 's1', runnerId: 'r1', renewedAtMs: 1 });
    await removeWorkspace(root, 's1');
    await removeWorkspace(root, 's1');
    expect([left('workspaces'), left('scratch'), left('leases')]).toEqual([['s2'], ['s2'], []]);
  });

  it('removes links, not what they point to', async () => {
    const { workspace } = makeSession('s1');
    const outside = join(root, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'keep'), 'x');
    symlinkSync(outside, join(workspace, 'link'));
    await removeWorkspace(root, 's1');
    expect(readdirSync(outside)).toEqual(['keep']);
  });

  it('removes read-only folders, as a user without special rights', () => {
    const { workspace } = makeSession('s1');
    const outside = join(root, 'outside');
    mkdirSync(outside);
    symlinkSync(outside, join(workspace, 'deep', 'link'));
    const asRoot = process.getuid?.() === 0;
    if (asRoot) {
      for (const path of ['', 'workspaces', 'scratch', ...readdirSync(root, { recursive: true }).map(String)]) {
        if (!path.endsWith('link')) chownSync(join(root, path), 65534, 65534);
      }
    }
    chmodSync(join(workspace, 'deep', 'file'), 0o400);
    chmodSync(join(workspace, 'deep'), 0o555);
    chmodSync(workspace, 0o555);
    chmodSync(outside, 0o555);
    const script = `
      import { removeWorkspace } from ${JSON.stringify(resolve('runner-image/src/workspace/cleanup.ts'))};
      await removeWorkspace(${JSON.stringify(root)}, 's1');
    `;
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
      timeout: 9_000,
      env: {},
      cwd: root,
      ...(asRoot ? { uid: 65534, gid: 65534 } : {}),
    });
    expect(child.stderr).toBe('');
    expect([left('workspaces'), left('scratch')]).toEqual([[], []]);
    expect(statSync(outside).mode & 0o777).toBe(0o555);
  });

  it('throws on an id that leaves the root', async () => {
    for (const id of ['..', '../x', 'a/b', '', '.', '-x', 'a\0']) {
      await expect(removeWorkspace(root, id)).rejects.toThrow('not a session id');
    }
  });
});

describe('sweepOrphans', () => {
  it('removes what is neither live nor leased, and finishes interrupted removals', async () => {
    for (const id of ['live', 'leased', 'expired', 'bare', 'future', 'broken']) makeSession(id);
    mkdirSync(join(root, 'workspaces', '.trash-old-1', 'x'), { recursive: true });
    const nowMs = 1_000_000;
    await renewLease(root, { sessionId: 'leased', runnerId: 'r2', renewedAtMs: nowMs - 100 });
    await renewLease(root, { sessionId: 'expired', runnerId: 'r2', renewedAtMs: nowMs - 101 });
    await renewLease(root, { sessionId: 'future', runnerId: 'r2', renewedAtMs: nowMs + 101 });
    await renewLease(root, { sessionId: 'gone', runnerId: 'r2', renewedAtMs: 0 });
    writeFileSync(join(root, 'leases', 'broken.json'), '{');
    const result = await sweepOrphans(root, new Set(['live']), { nowMs, leaseMs: 100 });
    expect(result).toEqual({
      removed: ['bare', 'broken', 'expired', 'future', 'gone'],
      leased: ['leased'],
      failed: [],
    });
    expect(left('workspaces').sort()).toEqual(['leased', 'live']);
    expect(left('scratch').sort()).toEqual(['leased', 'live']);
    expect(left('leases')).toEqual(['leased.json']);
  });

  it('does nothing in a root that does not exist yet', async () => {
    const result = await sweepOrphans(join(root, 'none'), new Set(), { nowMs: 0 });
    expect(result).toEqual({ removed: [], leased: [], failed: [] });
  });
});

describe('the lease', () => {
  it('is read back as it was renewed last', async () => {
    await renewLease(root, { sessionId: 's1', runnerId: 'r1', renewedAtMs: 1 });
    await renewLease(root, { sessionId: 's1', runnerId: 'r1', renewedAtMs: 2 });
    const read = { v: 1, sessionId: 's1', runnerId: 'r1', renewedAtMs: 2, epoch: 0, pool: 'hosted' };
    expect(await readLease(root, 's1')).toEqual(read);
    expect(await readLease(root, 's2')).toBeNull();
    expect(left('leases')).toEqual(['s1.json']);
  });

  it('of a later epoch is not touched by the runner of an earlier one', async () => {
    await renewLease(root, { sessionId: 's1', runnerId: 'r1', renewedAtMs: 1, epoch: 1 });
    await renewLease(root, { sessionId: 's1', runnerId: 'r2', renewedAtMs: 2, epoch: 2 });
    await renewLease(root, { sessionId: 's1', runnerId: 'r1', renewedAtMs: 3, epoch: 1 });
    expect(await readLease(root, 's1')).toMatchObject({ runnerId: 'r2', renewedAtMs: 2, epoch: 2 });
    expect(await isOfLaterEpoch(root, { sessionId: 's1', epoch: 1 })).toBe(true);
    expect(await isOfLaterEpoch(root, { sessionId: 's1', epoch: 2 })).toBe(false);
    expect(await isOfLaterEpoch(root, { sessionId: 's2', epoch: 0 })).toBe(false);
  });
});
