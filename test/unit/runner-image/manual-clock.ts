/** A clock that stands still until a test moves it; timers run in order of their time. */
import type { Clock, Random } from '../../../shared/clock.ts';

export interface ManualClock extends Clock {
  advance(ms: number): void;
  readonly timers: number;
}

export const manualClock = (startMs = 1_000_000): ManualClock => {
  let nowMs = startMs;
  let made = 0;
  const timers = new Map<number, { atMs: number; run: () => void }>();
  return {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const id = made++;
      timers.set(id, { atMs: nowMs + delayMs, run });
      return () => timers.delete(id);
    },
    advance(ms) {
      const endMs = nowMs + ms;
      for (;;) {
        const due = [...timers]
          .filter(([, { atMs }]) => atMs <= endMs)
          .sort((a, b) => a[1].atMs - b[1].atMs || a[0] - b[0])[0];
        if (!due) break;
        timers.delete(due[0]);
        nowMs = Math.max(nowMs, due[1].atMs);
        due[1].run();
      }
      nowMs = endMs;
    },
    get timers() {
      return timers.size;
    },
  };
};

export const fixedRandom = (value = 0.5): Random => {
  let made = 0;
  return { next: () => value, hex: (sizeBytes) => (made++).toString(16).padStart(sizeBytes * 2, '0') };
};
