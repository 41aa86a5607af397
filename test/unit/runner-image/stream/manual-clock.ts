/** A clock that only a test moves. */
import type { Clock } from '../../../../shared/clock.ts';

export const manualClock = () => {
  let nowMs = 1_000_000;
  let timers: { dueMs: number; run: () => void }[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const timer = { dueMs: nowMs + delayMs, run };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
  };
  const move = (byMs: number): void => {
    const untilMs = nowMs + byMs;
    for (;;) {
      const next = timers.filter(({ dueMs }) => dueMs <= untilMs).sort((one, other) => one.dueMs - other.dueMs)[0];
      if (next === undefined) break;
      timers = timers.filter((other) => other !== next);
      nowMs = Math.max(nowMs, next.dueMs);
      next.run();
    }
    nowMs = untilMs;
  };
  return { clock, move };
};
