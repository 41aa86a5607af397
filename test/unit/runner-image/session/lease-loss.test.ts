/** A runner that cannot show an acknowledgement: everything stands still and costs nothing, until the lease is held again or too long gone. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { realDisk } from '../../../../runner-image/src/transport/disk.ts';
import { LEASE_LOST_KILL_MS, LEASE_MS } from '../../../../shared/limits.ts';
import { openCore } from './open-core.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lease-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A session that runs and whose last batch was acknowledged just now. */
const running = () => {
  const opened = openCore(folder, realDisk);
  const { core } = opened;
  core.freezer.setTarget(opened.target);
  core.events.onWelcome(0);
  for (const type of ['PREPARE', 'PREPARED', 'READY'] as const) core.move({ type });
  opened.deliver();
  return opened;
};
type Opened = ReturnType<typeof openCore>;
const frozen = ({ sent }: Opened) =>
  sent.flatMap(({ events }) => events.flatMap((event) => ('frozen' in event ? [event.frozen] : [])));
const counters = ({ sent }: Opened) =>
  sent.flatMap(({ events }) => events.flatMap((event) => ('counters' in event ? [event.counters] : []))).at(-1);

describe('a lost lease', () => {
  it('freezes processes and brokers, bills nothing, and thaws with the next acknowledgement', async () => {
    const opened = running();
    const { core, clock, held, deliver } = opened;
    clock.advance(LEASE_MS - 1);
    expect([core.freezer.isHeld, held]).toEqual([false, []]);
    clock.advance(1);
    await setImmediate();
    // What brokers and hook answers look at, from this moment on.
    expect([core.freezer.isHeld, held]).toEqual([true, ['freeze']]);
    let isFree = false;
    void core.freezer.whenFree().then(() => {
      isFree = true;
    });
    clock.advance(60_000);
    await setImmediate();
    expect(isFree).toBe(false);
    deliver();
    await setImmediate();
    expect([isFree, core.freezer.isHeld, held, frozen(opened)]).toEqual([
      true,
      false,
      ['freeze', 'thaw'],
      [true, false],
    ]);
    core.finalTick();
    deliver();
    expect(counters(opened)).toMatchObject({ agentMs: LEASE_MS, frozenMs: 60_000 });
  });

  it('is given up after fifteen minutes', () => {
    const { clock, aborted } = running();
    clock.advance(LEASE_MS + LEASE_LOST_KILL_MS - 1);
    expect(aborted).toEqual([]);
    clock.advance(1);
    expect(aborted).toEqual(['lease_lost']);
  });

  it('is as lost after a crash of the runner: what was frozen stays so, and is told once', async () => {
    const { clock, core } = running();
    clock.advance(LEASE_MS + 1_000);
    await setImmediate();
    core.dispose(false);
    const opened = openCore(folder, realDisk, clock);
    expect(opened.core.freezer.reasons).toEqual(['lease_lost']);
    // pty-host says that its processes are frozen.
    opened.core.freezer.setTarget(opened.target, true);
    opened.core.events.onWelcome(opened.core.events.nextRseq - 2);
    clock.advance(1_000);
    await setImmediate();
    expect(opened.held).toEqual([]);
    opened.deliver();
    await setImmediate();
    expect(opened.held).toEqual(['thaw']);
    opened.deliver();
    expect(frozen(opened)).toEqual([true, false]);
    opened.core.dispose(true);
  });

  it('is given up after a crash in the time that is left of it', () => {
    const { clock, core } = running();
    clock.advance(LEASE_MS + 60_000);
    core.dispose(false);
    const { aborted } = openCore(folder, realDisk, clock);
    clock.advance(LEASE_LOST_KILL_MS - 60_000 - 10_000);
    expect(aborted).toEqual([]);
    clock.advance(10_000);
    expect(aborted).toEqual(['lease_lost']);
  });
});
