/** Pauses between tries, drawn with full jitter so that a thousand runners that were cut together do not return together. */
import type { Random } from '../../../shared/clock.ts';

/** Milliseconds before try number `tries` (from 0): uniform in [0, min(maxMs, baseMs · 2^tries)]. */
export const fullJitterMs = (tries: number, baseMs: number, maxMs: number, random: Random): number =>
  Math.round(random.next() * Math.min(maxMs, baseMs * 2 ** Math.min(tries, 30)));
