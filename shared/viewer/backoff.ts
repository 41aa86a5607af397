/** Full jitter (AWS architecture blog): clients that were cut together do not come back together. */
import type { Random } from '../clock.ts';
import { RECONNECT_BASE_MS, RECONNECT_MAX_MS } from '../limits.ts';

/** Milliseconds to wait before try number `attempt` (0 is the first retry). */
export const fullJitterMs = (attempt: number, random: Random): number =>
  Math.round(random.next() * Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** Math.min(attempt, 16)));
