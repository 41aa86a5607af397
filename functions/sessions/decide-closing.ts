/** Pure: what becomes of a session whose epoch the control plane closes. It goes on elsewhere, unless that was asked not to be or leads nowhere. */
import {
  CONTINUE_BACKOFF_FIRST_MS,
  CONTINUE_BACKOFF_MAX_MS,
  EPOCH_PROGRESS_MS,
  EPOCH_STRIKES_MAX,
  LEASE_MS,
} from '../../shared/limits.ts';
import { canMove, type SessionState, type StateReason } from '../../shared/session.ts';
import type { SessionMeta, StreamHead } from './session-store.ts';

/** Why an epoch ends without its runner's word. */
export type ClosingCause =
  /** The runner went silent, never came, or its task ended: what it ran may be to blame. */
  | 'runner_lost'
  /** The machine under it went, or somebody stopped the task: nothing of the session is to blame. */
  | 'host_lost'
  /** No place for it right now. */
  | 'launch_refused'
  /** ECS will not launch this the next time either. */
  | 'launch_impossible'
  /** The runner that was given it does not take it: as a rule another one does. */
  | 'assign_refused'
  /** No runner of its group took it in all the time it may wait. */
  | 'nobody_took'
  /** Its runner may not serve any more. */
  | 'runner_revoked';

export interface ClosingFacts {
  readonly head: Pick<StreamHead, 'epoch' | 'state' | 'desired' | 'leaseUntilMs' | 'progressed' | 'runningAtMs'>;
  readonly meta: Pick<SessionMeta, 'strikes' | 'refusals'>;
  readonly cause: ClosingCause;
  readonly reason: StateReason;
  readonly nowMs: number;
}

export type ClosingDecision =
  | {
      readonly kind: 'over';
      readonly state: 'completed' | 'failed';
      readonly reason: StateReason;
      readonly alert: string | null;
    }
  | {
      readonly kind: 'goes_on';
      readonly strikes: number;
      readonly refusals: number;
      /** Earliest time of the next epoch. */
      readonly notBeforeMs: number;
      readonly reason: StateReason;
    };

/** Stop codes of ECS for what the task itself had no part in: its host, or somebody who stopped it. */
const NOT_ITS_FAULT: ReadonlySet<string> = new Set([
  'TerminationNotice',
  'SpotInterruption',
  'UserInitiated',
  'ServiceSchedulerInitiated',
]);

export const causeOfStop = (stopCode: string | null | undefined): ClosingCause =>
  stopCode !== null && stopCode !== undefined && NOT_ITS_FAULT.has(stopCode) ? 'host_lost' : 'runner_lost';

export const STOPPED_REASON: StateReason = { code: 'stopped', message: 'Stopped on request.' };

/** On the way to a final state; the table knows no straight way from everywhere. */
export const pathTo = (from: SessionState, to: 'completed' | 'failed'): SessionState[] =>
  canMove(from, to) ? [to] : ['stopping', to];

/** @param timesInARow from 1 */
export const backoffMs = (timesInARow: number): number =>
  Math.min(CONTINUE_BACKOFF_MAX_MS, CONTINUE_BACKOFF_FIRST_MS * 2 ** (timesInARow - 1));

/** Measured up to the last word of the runner: silence is no progress. */
export const hasProgressed = (head: Pick<StreamHead, 'progressed' | 'runningAtMs' | 'leaseUntilMs'>): boolean =>
  head.progressed ||
  (head.runningAtMs !== null && head.leaseUntilMs - LEASE_MS - head.runningAtMs >= EPOCH_PROGRESS_MS);

const STRIKES: ReadonlySet<ClosingCause> = new Set(['runner_lost', 'launch_impossible']);
const LAUNCHES: ReadonlySet<ClosingCause> = new Set(['launch_refused', 'launch_impossible']);
const REFUSALS: ReadonlySet<ClosingCause> = new Set(['launch_refused', 'assign_refused']);

const poisoned = (strikes: number, reason: StateReason): ClosingDecision => {
  const message = `It was started ${strikes} times without getting anywhere. The last time: ${reason.message}`;
  return {
    kind: 'over',
    state: 'failed',
    reason: {
      ...reason,
      code: 'poison_start',
      message,
      hint: 'Look at what it runs at its start, then start it again.',
    },
    alert: message,
  };
};

const earliestMs = ({ cause, head, nowMs }: ClosingFacts, strikes: number, refusals: number): number => {
  if (cause === 'launch_refused') return nowMs + backoffMs(refusals);
  /** A group whose every runner refuses must not make a hot loop. */
  if (cause === 'assign_refused') return refusals === 1 ? nowMs : nowMs + backoffMs(refusals - 1);
  /** A runner that nobody can tell anything freezes what it runs when its lease ends: two of them never work at once. */
  if (cause === 'runner_revoked') return Math.max(nowMs, head.leaseUntilMs);
  return STRIKES.has(cause) && strikes > 0 ? nowMs + backoffMs(strikes) : nowMs;
};

export const decideClosing = (facts: ClosingFacts): ClosingDecision => {
  const { head, meta, cause, reason } = facts;
  /** Ended as asked, also when its runner did not live to say so. */
  if (head.desired === 'stop') return { kind: 'over', state: 'completed', reason: STOPPED_REASON, alert: null };
  if (head.state === 'stopping' || cause === 'nobody_took')
    return { kind: 'over', state: 'failed', reason, alert: null };
  /** Whoever starts a session waits for the answer, and can change what was asked. */
  if (LAUNCHES.has(cause) && head.epoch === 1) return { kind: 'over', state: 'failed', reason, alert: null };
  const before = hasProgressed(head) ? 0 : meta.strikes;
  const strikes = before + (STRIKES.has(cause) && !hasProgressed(head) ? 1 : 0);
  if (strikes >= EPOCH_STRIKES_MAX) return poisoned(strikes, reason);
  const refusals = REFUSALS.has(cause) ? meta.refusals + 1 : 0;
  const hint = 'It goes on by itself on another runner, from its last checkpoint.';
  return {
    kind: 'goes_on',
    strikes,
    refusals,
    notBeforeMs: earliestMs(facts, strikes, refusals),
    reason: { ...reason, hint },
  };
};
