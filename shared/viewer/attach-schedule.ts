/** When an attach is sent again: no answer came, the control plane refused for now, or no runner was there yet. Pure. */
import type { Random } from '../clock.ts';
import { ATTACH_DEADLINE_MS } from '../limits.ts';
import { fullJitterMs } from './backoff.ts';

export class AttachSchedule {
  #sentAtMs = 0;
  /** When the answer is given up; `null` when none is waited for. */
  #dueAtMs: number | null = null;
  #refusals = 0;

  sent(nowMs: number): void {
    this.#sentAtMs = nowMs;
    this.#dueAtMs = nowMs + ATTACH_DEADLINE_MS;
  }

  answered(): void {
    this.#dueAtMs = null;
    this.#refusals = 0;
  }

  /** A refusal "for now" (throttled, a gateway's own error) means: again, after a back-off that grows (protocol.md). */
  refused(nowMs: number, random: Random): void {
    if (this.#dueAtMs === null) return;
    this.#dueAtMs = Math.min(this.#dueAtMs, nowMs + fullJitterMs(this.#refusals, random));
    this.#refusals += 1;
  }

  /** `waiting`: the last answer was not enough (no runner, or the end of an ended session is missing). */
  isDue(nowMs: number, waiting: boolean): boolean {
    if (this.#dueAtMs !== null) return nowMs >= this.#dueAtMs;
    return waiting && nowMs - this.#sentAtMs >= ATTACH_DEADLINE_MS;
  }
}
