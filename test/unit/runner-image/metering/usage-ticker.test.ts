import { expect, test } from 'vitest';
import { UsageTicker } from '../../../../runner-image/src/metering/usage-ticker.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { USAGE_TICK_DEFAULT_MS, USAGE_TICK_EARLY_MS } from '../../../../shared/limits.ts';
import { manualClock } from '../manual-clock.ts';

const ticking = () => {
  const clock = manualClock();
  const startMs = clock.nowMs();
  const atMs: number[] = [];
  const ticker = new UsageTicker({
    clock,
    intervalMs: USAGE_TICK_DEFAULT_MS,
    ...{ runnerBuild: 'r1', taskDefinition: 'td:1', restored: null },
    headOffset: () => 0,
    record: (draft: EventDraft) => {
      if (draft.type === 'usage_tick') atMs.push(clock.nowMs() - startMs);
    },
    onTick: () => {},
  });
  ticker.start();
  return { clock, ticker, atMs };
};

test('an early tick takes the place of the next one, and ticks are never further apart than their interval', () => {
  const { clock, ticker, atMs } = ticking();
  clock.advance(20_000);
  expect(ticker.tickEarly()).toBe(true);
  clock.advance(2 * USAGE_TICK_DEFAULT_MS);
  expect(atMs).toEqual([20_000, 20_000 + USAGE_TICK_DEFAULT_MS, 20_000 + 2 * USAGE_TICK_DEFAULT_MS]);
});

test('no tick is early that has only just been', () => {
  const { clock, ticker, atMs } = ticking();
  clock.advance(USAGE_TICK_DEFAULT_MS + USAGE_TICK_EARLY_MS - 1);
  expect(ticker.tickEarly()).toBe(false);
  clock.advance(1);
  expect(ticker.tickEarly()).toBe(true);
  expect(atMs).toEqual([USAGE_TICK_DEFAULT_MS, USAGE_TICK_DEFAULT_MS + USAGE_TICK_EARLY_MS]);
});
