/** Keys typed into one attached session while everything else goes on: from the key to its echo on the person's screen. */
import { sleep, systemClock } from '../../shared/clock.ts';
import type { SessionEvent } from '../../shared/events.ts';
import type { TestVillage } from '../fakes/village.ts';
import { testViewer } from '../fakes/village-viewer.ts';

const KEYS = 'abcdefghijklmnopqrstuvwxyz';
const BETWEEN_MS = 250;
const GIVEN_UP_MS = 60_000;
const LINE_KEYS = 60;

export interface Typist {
  /** Milliseconds of each key that was seen. */
  readonly tookMs: readonly number[];
  readonly unanswered: () => number;
  /** Told by the page as never delivered. */
  readonly lost: () => number;
  stop(): Promise<readonly SessionEvent[]>;
}

/** Types until it is stopped. */
export const startTyping = (village: TestVillage, sessionId: string): Typist => {
  const viewer = testViewer({ endpoint: village.endpoint(), sessionId });
  const tookMs: number[] = [];
  let unanswered = 0;
  let isStopping = false;
  const echoOf = (key: string): Promise<boolean> =>
    new Promise((resolve) => {
      const cancel = systemClock.after(GIVEN_UP_MS, () => resolve(false));
      viewer.onData = (data) => {
        if (!data.includes(key)) return;
        cancel();
        resolve(true);
      };
    });
  const typing = (async () => {
    while (!isStopping && !viewer.leads()) await sleep(systemClock, BETWEEN_MS);
    for (let index = 0; !isStopping; index += 1) {
      const key = KEYS[index % KEYS.length] ?? 'a';
      const beganMs = performance.now();
      const echo = echoOf(key);
      viewer.type(key);
      if (await echo) tookMs.push(performance.now() - beganMs);
      else unanswered += 1;
      // Before the line wraps and is drawn otherwise.
      if (index % LINE_KEYS === LINE_KEYS - 1) viewer.type('\u0015');
      await sleep(systemClock, BETWEEN_MS);
    }
  })();
  return {
    tookMs,
    unanswered: () => unanswered,
    lost: () => viewer.lost.length,
    async stop() {
      isStopping = true;
      await typing;
      viewer.close();
      return viewer.events;
    },
  };
};

export interface Keystrokes {
  readonly n: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Without an echo within a minute, or told as lost. */
  readonly missing: number;
}

/** Of the keys after the first `from`. */
export const summaryOf = ({ tookMs, unanswered, lost }: Typist, from: number): Keystrokes => {
  const sorted = tookMs.slice(from).sort((a, b) => a - b);
  const at = (share: number) => Math.round((sorted[Math.floor(sorted.length * share)] ?? Number.NaN) * 10) / 10;
  return { n: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), missing: unanswered() + lost() };
};
