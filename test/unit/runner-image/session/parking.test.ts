import { describe, expect, it } from 'vitest';
import { decideParking, Parking } from '../../../../runner-image/src/session/parking.ts';
import { PARK_RETRY_MS } from '../../../../shared/limits.ts';
import { SESSION_STATES, type SessionState } from '../../../../shared/session.ts';
import { manualClock } from '../manual-clock.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('decideParking', () => {
  const facts = { state: 'paused_by_human' as const, waitsSinceMs: 100, parkAfterMs: 1_000, failedAtMs: null };

  it.each(SESSION_STATES)('in state %s', (state) => {
    const waits = state === 'paused_by_human' || state === 'waiting_for_approval';
    expect(decideParking({ ...facts, state }, 1_100).kind).toBe(waits ? 'park' : 'no');
  });

  it('waits for its time, and after a failure for the next try', () => {
    expect(decideParking(facts, 1_099)).toEqual({ kind: 'wait', atMs: 1_100 });
    expect(decideParking(facts, 1_100)).toEqual({ kind: 'park' });
    const failed = { ...facts, failedAtMs: 1_200 };
    expect(decideParking(failed, 1_300)).toEqual({ kind: 'wait', atMs: 1_200 + PARK_RETRY_MS });
    expect(decideParking(failed, 1_200 + PARK_RETRY_MS)).toEqual({ kind: 'park' });
    expect(decideParking({ ...facts, waitsSinceMs: null }, 9_999)).toEqual({ kind: 'no' });
  });
});

describe('Parking', () => {
  const setup = (answers: (string | null | Promise<string | null>)[]) => {
    const clock = manualClock();
    const log: unknown[] = [];
    let state: SessionState = 'running';
    let isAskedOn = false;
    const parking = new Parking({
      clock,
      parkAfterMs: 1_000,
      state: () => state,
      isAskedOn: () => isAskedOn,
      checkpoint: async () => {
        log.push('checkpoint');
        return (await answers.shift()) ?? null;
      },
      park: (key) => log.push(key),
      onSilenceCounts: (counts) => log.push(counts),
    });
    const become = (next: SessionState): void => {
      state = next;
      parking.stateChanged();
    };
    const ask = (): void => {
      isAskedOn = true;
    };
    return { clock, log, parking, become, ask };
  };

  it('parks after the time, with the checkpoint; silence does not count meanwhile', async () => {
    const { clock, log, become } = setup(['key']);
    become('paused_by_human');
    clock.advance(999);
    expect(log).toEqual([false]);
    clock.advance(1);
    await settle();
    expect(log).toEqual([false, 'checkpoint', 'key']);
  });

  it('counts on from one kind of waiting to the other, and anew after the session ran', async () => {
    const { clock, log, become } = setup(['key']);
    become('waiting_for_approval');
    clock.advance(600);
    become('paused_by_human');
    clock.advance(300);
    become('running');
    clock.advance(5_000);
    become('paused_by_human');
    clock.advance(999);
    await settle();
    expect(log).toEqual([false, true, false]);
    clock.advance(1);
    await settle();
    expect(log.at(-1)).toBe('key');
  });

  it('does not park without a checkpoint: silence counts from there, and it is tried again', async () => {
    const { clock, log, become } = setup([null, 'key']);
    become('paused_by_human');
    clock.advance(1_000);
    await settle();
    expect(log).toEqual([false, 'checkpoint', true]);
    clock.advance(PARK_RETRY_MS);
    await settle();
    expect(log).toEqual([false, 'checkpoint', true, 'checkpoint', 'key']);
  });

  it('does not park a session that went on while its checkpoint was made, also when it waits again', async () => {
    const made = Promise.withResolvers<string>();
    const { clock, log, become, parking } = setup([made.promise, 'second']);
    become('paused_by_human');
    clock.advance(1_000);
    become('running');
    clock.advance(10);
    become('paused_by_human');
    made.resolve('first');
    await settle();
    expect(log).not.toContain('first');
    clock.advance(1_000);
    await settle();
    expect(log.at(-1)).toBe('second');
    parking.stop();
    expect(clock.timers).toBe(0);
  });

  it('does not park what is asked to go on, nor after its end', async () => {
    const asked = setup(['key']);
    asked.become('paused_by_human');
    asked.ask();
    asked.clock.advance(1_000);
    await settle();
    expect(asked.log).not.toContain('key');

    const made = Promise.withResolvers<string>();
    const ended = setup([made.promise]);
    ended.become('paused_by_human');
    ended.clock.advance(1_000);
    ended.parking.stop();
    made.resolve('key');
    await settle();
    expect(ended.log).not.toContain('key');
    expect(ended.clock.timers).toBe(0);
  });
});
