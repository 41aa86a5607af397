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
    const freezer = new Freezer(silentLog);
    const target = {
      freeze: async () => void log.push('freeze'),
      thaw: async () => void log.push('thaw'),
    };
    return { freezer, log, target };
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

  it('tries again after a failure', async () => {
    const { freezer, log, target } = setup();
    let fails = true;
    freezer.setTarget({ ...target, freeze: () => (fails ? Promise.reject(new Error('no')) : target.freeze()) });
    await freezer.set('pause', true);
    fails = false;
    await freezer.set('pause', true);
    expect(log).toEqual(['freeze']);
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
