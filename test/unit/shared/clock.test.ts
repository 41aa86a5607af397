import { describe, expect, test } from 'vitest';
import { type Clock, sleep, systemClock, systemRandom } from '../../../shared/clock.ts';

/** Runs what waits when it is told to. */
const handClock = () => {
  const waiting = new Set<() => void>();
  const clock: Clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    after: (_delayMs, run) => {
      waiting.add(run);
      return () => waiting.delete(run);
    },
  };
  return { clock, waiting };
};

describe('sleep', () => {
  test('ends when its time has come, and leaves no listener', async () => {
    const { clock, waiting } = handClock();
    const abort = new AbortController();
    const slept = sleep(clock, 5, abort.signal);
    for (const run of waiting) run();
    await expect(slept).resolves.toBeUndefined();
    abort.abort();
  });

  test('ends with the signal’s reason, and nothing waits any more', async () => {
    const { clock, waiting } = handClock();
    const abort = new AbortController();
    const slept = sleep(clock, 5, abort.signal);
    abort.abort(new Error('enough'));
    await expect(slept).rejects.toThrow('enough');
    expect(waiting.size).toBe(0);
    await expect(sleep(clock, 5, abort.signal)).rejects.toThrow('enough');
  });
});

test('the system’s clock and chance', async () => {
  expect(Math.abs(systemClock.nowMs() - Date.now())).toBeLessThan(60_000);
  expect(systemClock.monotonicMs()).toBeLessThanOrEqual(systemClock.monotonicMs());
  await new Promise<void>((resolve, reject) => {
    systemClock.after(1, () => reject(new Error('was cancelled')))();
    systemClock.after(2, resolve);
  });
  expect(systemRandom.hex(24)).toMatch(/^[0-9a-f]{48}$/);
  expect(systemRandom.hex(24)).not.toBe(systemRandom.hex(24));
  expect(systemRandom.next()).toBeLessThan(1);
});
