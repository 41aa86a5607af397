import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { sessionPaths } from '../../../../runner-image/src/workspace/layout.ts';
import { renewLease } from '../../../../runner-image/src/workspace/lease.ts';
import { WorkspaceSweeper } from '../../../../runner-image/src/workspace/sweeper.ts';
import { WORKSPACE_LEASE_MS, WORKSPACE_SWEEP_CONFIRM_MS, WORKSPACE_SWEEP_MS } from '../../../../shared/limits.ts';
import { manualClock } from '../manual-clock.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sweeper-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const setup = (held: string[] = []) => {
  const clock = manualClock(1_800_000_000_000);
  const sweeper = new WorkspaceSweeper({ root, clock, log: silentLog, held: () => held });
  const make = (sessionId: string) => mkdirSync(sessionPaths(root, sessionId).workspace, { recursive: true });
  const renew = (sessionId: string, renewedAtMs = clock.nowMs()) =>
    renewLease(root, { sessionId, runnerId: 'r', renewedAtMs });
  const isThere = (sessionId: string) => existsSync(sessionPaths(root, sessionId).workspace);
  /** Looks as the runner does, for `ms`. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= WORKSPACE_SWEEP_MS) {
      clock.advance(WORKSPACE_SWEEP_MS);
      await sweeper.look();
    }
  };
  return { clock, sweeper, make, renew, isThere, pass };
};

describe('WorkspaceSweeper', () => {
  it('removes an orphan within 180 s of its last renewal', async () => {
    const { make, renew, isThere, pass } = setup();
    make('s1');
    await renew('s1');
    await pass(WORKSPACE_LEASE_MS);
    expect(isThere('s1')).toBe(true);
    await pass(180_000 - WORKSPACE_LEASE_MS);
    expect(isThere('s1')).toBe(false);
  });

  it('leaves what is held by this process, and what is renewed', async () => {
    const { make, renew, isThere, pass } = setup(['mine']);
    for (const id of ['mine', 'other']) make(id);
    for (let round = 0; round < 10; round++) {
      await renew('other');
      await pass(30_000);
    }
    expect([isThere('mine'), isThere('other')]).toEqual([true, true]);
  });

  it('takes nothing for an orphan because the clock jumped or the machine slept', async () => {
    const { clock, make, renew, isThere, pass, sweeper } = setup();
    make('s1');
    await renew('s1');
    await sweeper.look();
    clock.advance(8 * 60 * 60_000);
    await sweeper.look();
    expect(isThere('s1')).toBe(true);
    // Its runner wakes up, too.
    await pass(30_000);
    await renew('s1');
    await pass(WORKSPACE_SWEEP_CONFIRM_MS);
    expect(isThere('s1')).toBe(true);
  });

  it('waits for a folder without a lease as long as for one with an old one', async () => {
    const { make, isThere, pass } = setup();
    make('s1');
    await pass(WORKSPACE_SWEEP_CONFIRM_MS);
    expect(isThere('s1')).toBe(true);
    await pass(WORKSPACE_SWEEP_MS);
    expect(isThere('s1')).toBe(false);
  });
});
