/** When a session ends by itself: everything asked of it is done, it is quiet, and no person leads it. */
import { DONE_GRACE_MS } from '../../../shared/limits.ts';

export interface Progress {
  readonly endWhenDone: boolean;
  /** Prompts that were submitted, by the start or by people. */
  readonly prompts: number;
  /** Turns finished; for a provider without turns, commands. */
  readonly turnsDone: number;
  readonly isWorking: boolean;
  /** Scripted model: whether every turn of its scenario was played; `null` for a real one. */
  readonly isScriptPlayed: boolean | null;
  /** A person typed in the control term that still lasts. */
  readonly isLed: boolean;
  /** Last output, event or input. */
  readonly lastActivityMs: number;
}

export type DoneDecision =
  | { readonly kind: 'no' }
  /** All is done; ask again at this time. */
  | { readonly kind: 'wait'; readonly atMs: number }
  | { readonly kind: 'done' };

/** Asked after each change and at the time it named. */
export const decideDone = (progress: Progress, nowMs: number): DoneDecision => {
  const { endWhenDone, prompts, turnsDone, isWorking, isScriptPlayed, isLed } = progress;
  if (!endWhenDone || isLed || isWorking || prompts === 0 || turnsDone < prompts) return { kind: 'no' };
  if (isScriptPlayed === false) return { kind: 'no' };
  const atMs = progress.lastActivityMs + DONE_GRACE_MS;
  return nowMs >= atMs ? { kind: 'done' } : { kind: 'wait', atMs };
};

export type IdleDecision =
  | { readonly kind: 'fine'; readonly atMs: number }
  | { readonly kind: 'warn'; readonly why: 'idle' | 'max_duration'; readonly atMs: number }
  | { readonly kind: 'stop'; readonly why: 'idle' | 'max_duration' };

export interface TimeBounds {
  readonly startedMs: number;
  readonly lastActivityMs: number;
  readonly maxDurationMs: number;
  readonly idleMs: number;
  readonly warned: ReadonlySet<'idle' | 'max_duration'>;
}

/** People are told this long before a session is stopped, or half of its bound where that is shorter. */
const WARN_BEFORE_MS = 5 * 60_000;

/** Hard bounds of a session's life. A warning is repeated for no one: `warned` says which were given. */
export const decideTime = (bounds: TimeBounds, nowMs: number): IdleDecision => {
  const ends = [
    { why: 'max_duration', endMs: bounds.startedMs + bounds.maxDurationMs, boundMs: bounds.maxDurationMs },
    { why: 'idle', endMs: bounds.lastActivityMs + bounds.idleMs, boundMs: bounds.idleMs },
  ] as const;
  const first = ends[0].endMs <= ends[1].endMs ? ends[0] : ends[1];
  if (nowMs >= first.endMs) return { kind: 'stop', why: first.why };
  const warnAtMs = first.endMs - Math.min(WARN_BEFORE_MS, first.boundMs / 2);
  if (bounds.warned.has(first.why)) return { kind: 'fine', atMs: first.endMs };
  return nowMs >= warnAtMs
    ? { kind: 'warn', why: first.why, atMs: first.endMs }
    : { kind: 'fine', atMs: Math.min(warnAtMs, first.endMs) };
};
