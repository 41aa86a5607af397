/** The session's cumulative counters: each tick says everything since the start of the epoch, so a lost one heals itself. */
import { USAGE_MAX_PATHS } from '../../../shared/limits.ts';
import type { SessionState } from '../../../shared/session.ts';
import type { UsageCounters } from '../../../shared/usage.ts';

/** What time counts as; `idle` is time nobody pays for. */
type TimeKind = 'agentMs' | 'waitingMs' | 'frozenMs' | 'idle';

export const timeKindOf = (state: SessionState, isFrozen: boolean): TimeKind => {
  if (state === 'running') return isFrozen ? 'frozenMs' : 'agentMs';
  if (state === 'waiting_for_approval') return isFrozen ? 'frozenMs' : 'waitingMs';
  return 'idle';
};

export class UsageMeter {
  #totals: UsageCounters;
  #kind: TimeKind = 'idle';
  #sinceMs: number;
  readonly #paths = new Set<string>();

  /** `restored`: the counters of this epoch before the runner process was started again. */
  constructor(restored: UsageCounters, nowMs: number) {
    this.#totals = restored;
    this.#sinceMs = nowMs;
  }

  /** Closes the running span and opens one of the state's kind; `nowMs` on a clock that never jumps. */
  enter(state: SessionState, isFrozen: boolean, nowMs: number): void {
    this.#close(nowMs);
    this.#kind = timeKindOf(state, isFrozen);
  }

  command(): void {
    this.#totals = { ...this.#totals, commands: this.#totals.commands + 1 };
  }

  touched(paths: readonly string[]): void {
    const before = this.#paths.size;
    for (const path of paths) if (this.#paths.size < USAGE_MAX_PATHS) this.#paths.add(path);
    this.#totals = { ...this.#totals, filesTouched: this.#totals.filesTouched + this.#paths.size - before };
  }

  /** Integers, as the ledger wants them. `terminalBytes` is the head of the redacted stream. */
  counters(nowMs: number, terminalBytes: number): UsageCounters {
    this.#close(nowMs);
    const { agentMs, waitingMs, frozenMs } = this.#totals;
    return {
      ...this.#totals,
      agentMs: Math.floor(agentMs),
      waitingMs: Math.floor(waitingMs),
      frozenMs: Math.floor(frozenMs),
      terminalBytes,
    };
  }

  #close(nowMs: number): void {
    const spentMs = Math.max(0, nowMs - this.#sinceMs);
    this.#sinceMs = nowMs;
    if (this.#kind !== 'idle') this.#totals = { ...this.#totals, [this.#kind]: this.#totals[this.#kind] + spentMs };
  }
}
