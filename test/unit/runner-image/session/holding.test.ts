import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import { screenField, timeoutReason, within } from '../../../../runner-image/src/session/boot-limit.ts';
import { Freezer } from '../../../../runner-image/src/session/freezer.ts';
import { LeaseKeeper } from '../../../../runner-image/src/session/lease-keeper.ts';
import { LEASE_LOST_KILL_MS, LEASE_MS } from '../../../../shared/limits.ts';
import { manualClock } from '../manual-clock.ts';

describe('Freezer', () => {
  const setup = () => {
    const log: string[] = [];
    const clock = manualClock();
    const freezer = new Freezer(clock, silentLog);
    const target = {
      freeze: async () => void log.push('freeze'),
      thaw: async () => void log.push('thaw'),
      kill: async () => void log.push('kill'),
    };
    const stuck = {
      ...target,
      freeze: () => {
        log.push('tried');
        return Promise.reject(new Error('no'));
      },
    };
    /** Seconds one by one, each with the work it starts. */
    const seconds = async (count: number) => {
      for (let at = 0; at < count; at += 1) {
        clock.advance(1_000);
        await setImmediate();
      }
    };
    return { clock, freezer, log, target, stuck, seconds };
  };

  it('holds while any reason stands', async () => {
    const { freezer, log, target } = setup();
    freezer.setTarget(target);
    await freezer.set('pause', true);
    expect(freezer.isUnbilled).toBe(false);
    await freezer.set('lease_lost', true);
    expect(freezer.isUnbilled).toBe(true);
    await freezer.set('pause', false);
    expect(log).toEqual(['freeze']);
    await freezer.set('lease_lost', false);
    expect(log).toEqual(['freeze', 'thaw']);
  });

  it('holds a program that starts under a standing reason, and lets it go for a stop', async () => {
    const { freezer, log, target } = setup();
    await freezer.set('lease_lost', true);
    freezer.setTarget(target);
    await freezer.set('lease_lost', true);
    expect(log).toEqual(['freeze']);
    await freezer.release();
    expect(log).toEqual(['freeze', 'thaw']);
  });

  it('tries again every second until the processes follow', async () => {
    const { clock, freezer, log, target, stuck, seconds } = setup();
    let fails = true;
    freezer.setTarget({ ...target, freeze: () => (fails ? stuck : target).freeze() });
    await setImmediate();
    await freezer.set('lease_lost', true);
    await seconds(2);
    fails = false;
    await seconds(1);
    expect(log).toEqual(['tried', 'tried', 'tried', 'freeze']);
    expect(clock.timers).toBe(0);
  });

  it('kills what cannot be held without a lease, after ten tries', async () => {
    const { clock, freezer, log, stuck, seconds } = setup();
    freezer.setTarget(stuck);
    await setImmediate();
    await freezer.set('lease_lost', true);
    await seconds(8);
    expect(log).toEqual(Array(9).fill('tried'));
    await seconds(1);
    expect(log).toEqual([...Array(10).fill('tried'), 'kill']);
    expect(clock.timers).toBe(0);
  });

  it('does not kill for a pause, nor once the lease is held again', async () => {
    const { clock, freezer, log, stuck, seconds } = setup();
    freezer.setTarget(stuck);
    await setImmediate();
    await freezer.set('lease_lost', true);
    await seconds(5);
    await freezer.set('lease_lost', false);
    await seconds(20);
    expect(log).toEqual(Array(6).fill('tried'));
    await freezer.set('pause', true);
    await seconds(20);
    expect(log).toEqual(Array(16).fill('tried'));
    expect(clock.timers).toBe(0);
  });
});

describe('Freezer for those who wait', () => {
  it('lets them go on when the last reason is gone, and sees what was frozen before a crash', async () => {
    const log: string[] = [];
    const freezer = new Freezer(manualClock(), silentLog);
    const target = {
      freeze: async () => void log.push('freeze'),
      thaw: async () => void log.push('thaw'),
      kill: async () => {},
    };
    await freezer.whenFree();
    await freezer.set('lease_lost', true);
    await freezer.set('disk_full', true);
    let isFree = false;
    const waiting = freezer.whenFree().then(() => {
      isFree = true;
    });
    // Frozen by the runner before this one, and still to be: it is left as it is.
    freezer.setTarget(target, true);
    await freezer.set('disk_full', false);
    await setImmediate();
    expect([isFree, freezer.isHeld, log]).toEqual([false, true, []]);
    await freezer.set('lease_lost', false);
    await waiting;
    expect([freezer.isHeld, log]).toEqual([false, ['thaw']]);
  });
});

describe('LeaseKeeper', () => {
  const setup = () => {
    const clock = manualClock();
    const log: string[] = [];
    let asleepMs = 0;
    const bootMs = () => clock.monotonicMs() + asleepMs;
    const lease = new LeaseKeeper({
      clock,
      bootMs,
      provenAtMs: bootMs(),
      onLost: () => log.push('lost'),
      onHeld: () => log.push('held'),
      onKill: () => log.push('kill'),
    });
    const sleepFor = (ms: number) => {
      asleepMs += ms;
    };
    return { clock, log, lease, bootMs, sleepFor };
  };

  it('is lost without a proof, held again with one, and killed in the end', () => {
    const { clock, log, lease, bootMs } = setup();
    clock.advance(LEASE_MS - 1);
    expect(log).toEqual([]);
    clock.advance(1);
    expect(log).toEqual(['lost']);
    lease.prove(bootMs());
    expect(log).toEqual(['lost', 'held']);
    clock.advance(LEASE_MS + LEASE_LOST_KILL_MS);
    expect(log).toEqual(['lost', 'held', 'lost', 'kill']);
    expect(clock.timers).toBe(0);
  });

  it('does not take an old proof for a new one', () => {
    const { clock, log, lease, bootMs } = setup();
    const early = bootMs();
    clock.advance(LEASE_MS);
    lease.prove(early);
    expect(log).toEqual(['lost']);
  });

  it('is as old after a crash of the runner as it was before, and no younger than the machine', () => {
    const clock = manualClock();
    const startMs = clock.monotonicMs();
    clock.advance(LEASE_MS + 1_000);
    const log: string[] = [];
    const open = (provenAtMs: number) =>
      new LeaseKeeper({
        ...{ clock, provenAtMs, bootMs: () => clock.monotonicMs() },
        onLost: () => log.push('lost'),
        onHeld: () => log.push('held'),
        onKill: () => log.push('kill'),
      });
    const old = open(startMs);
    expect(old.isLost).toBe(true);
    clock.advance(1);
    expect(log).toEqual([]);
    old.prove(clock.monotonicMs());
    expect([old.isLost, log]).toEqual([false, ['held']]);
    old.stop();
    const future = open(startMs + 10 * LEASE_MS);
    clock.advance(LEASE_MS);
    expect([future.isLost, log]).toEqual([true, ['held', 'lost']]);
    future.stop();
    open(startMs);
    clock.advance(LEASE_LOST_KILL_MS);
    expect(log).toEqual(['held', 'lost', 'kill']);
    expect(clock.timers).toBe(0);
  });

  it('sees time that passed while the machine slept', () => {
    const { clock, log, sleepFor } = setup();
    sleepFor(LEASE_MS);
    clock.advance(5_000);
    expect(log).toEqual(['lost']);
  });
});

describe('boot limits', () => {
  it('ends a step that hangs, and lets one that is done be', async () => {
    const clock = manualClock();
    const hanging = within(clock, 100, new Promise(() => {}));
    clock.advance(100);
    expect(await hanging).toEqual({ kind: 'timeout' });
    expect(await within(clock, 100, Promise.resolve(7))).toEqual({ kind: 'done', value: 7 });
    await expect(within(clock, 100, Promise.reject(new Error('x')))).rejects.toThrow('x');
    expect(clock.timers).toBe(0);
    expect(timeoutReason('proving_gate')).toMatchObject({ code: 'step_timeout', step: 'proving_gate' });
  });

  it('keeps the end of the last screen, small enough for its event', () => {
    expect(screenField('  \n ')).toEqual({});
    const { lastScreen = '' } = screenField(`${'\u0001'.repeat(20_000)}the end`);
    expect(lastScreen.endsWith('the end')).toBe(true);
    expect(Buffer.byteLength(JSON.stringify(lastScreen))).toBeLessThanOrEqual(10 * 1024);
  });
});
