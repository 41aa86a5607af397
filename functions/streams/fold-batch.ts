/** Pure: what a batch of runner events does to the session's projection, the ledger and the stored chunks. */
import {
  type EventDraft,
  type EventEnvelope,
  type EventOf,
  type EventType,
  ROW_EVENTS,
  type RunnerEvent,
  RunnerEventSchema,
} from '../../shared/events.ts';
import { EVENT_MAX_BYTES } from '../../shared/limits.ts';
import { canMove, isFinal, type SessionState, type StateReason } from '../../shared/session.ts';
import type { UsageCounters } from '../../shared/usage.ts';
import { sha256Hex } from '../hash.ts';

export interface FoldStart {
  readonly state: SessionState;
}

export type NamedCheckpoint = Pick<EventOf<'workspace_checkpointed'>, 'checkpointKey' | 'sizeBytes' | 'sha256'>;

export interface Folded {
  /** As they will be stored: what did not fit has become `event_rejected` under the same rseq. */
  readonly events: readonly RunnerEvent[];
  readonly state: SessionState;
  readonly reason: StateReason | null | undefined;
  readonly ended: boolean;
  /** The runner gives the session back without ending it. */
  readonly leaves: 'parked' | 'drained' | null;
  /** Stored work: a later epoch does not begin where this one did. */
  readonly progressed: boolean;
  /** Stored checkpoints that the batch names, in order; whether their keys may be trusted is the caller's to say. */
  readonly checkpoints: readonly NamedCheckpoint[];
  readonly startedAtMs: number | undefined;
  readonly usage: UsageCounters | undefined;
  readonly cliVersion: string | undefined;
  readonly diffKey: string | undefined;
  readonly offset: number | undefined;
  readonly lastEventMs: number | undefined;
}

const isRowEvent = (type: string): boolean => ROW_EVENTS.has(type as EventType);
export const rowEventCount = (events: readonly EventEnvelope[]): number =>
  events.filter((event) => isRowEvent(event.type)).length;

/** Stored opaquely: a payload that does not fit its schema never wedges the stream. */
const rejected = (event: EventEnvelope, issue: string): RunnerEvent => {
  const body = JSON.stringify(event);
  const draft: EventDraft = {
    type: 'event_rejected',
    originalType: event.type,
    sizeBytes: Buffer.byteLength(body),
    sha256: sha256Hex(body),
    issue: issue.slice(0, 1_000),
    ...(body.length <= 6_000 ? { body } : {}),
  };
  const { v, sessionId, tenantId, epoch, rseq, ts, offset } = event;
  return { v, sessionId, tenantId, epoch, rseq, ts, offset, ...draft };
};

const parseEvent = (event: EventEnvelope): RunnerEvent => {
  if (Buffer.byteLength(JSON.stringify(event)) > EVENT_MAX_BYTES) return rejected(event, 'larger than an event may be');
  const parsed = RunnerEventSchema.safeParse(event);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  return rejected(event, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'unknown type'}`);
};

/** Folds in order; a transition that is not in the table is stored as rejected and moves nothing. */
export const foldBatch = (start: FoldStart, envelopes: readonly EventEnvelope[]): Folded => {
  let state = start.state;
  let reason: StateReason | null | undefined;
  let startedAtMs: number | undefined;
  let usage: UsageCounters | undefined;
  let cliVersion: string | undefined;
  let diffKey: string | undefined;
  let leaves: Folded['leaves'] = null;
  let progressed = false;
  const checkpoints: NamedCheckpoint[] = [];
  const events = envelopes.map((envelope) => {
    const event = parseEvent(envelope);
    if (event.type === 'session_state_changed') {
      if (event.fromState !== state || !canMove(state, event.toState))
        return rejected(envelope, `the session is ${state}: it cannot go from ${event.fromState} to ${event.toState}`);
      state = event.toState;
      reason = event.reason;
      if (state === 'running') startedAtMs ??= event.ts;
    }
    if (event.type === 'usage_tick') {
      usage = event.counters;
      cliVersion = event.cliVersion;
    }
    if (event.type === 'provider_started') cliVersion = event.cliVersion;
    if (event.type === 'workspace_checkpointed') checkpoints.push(event);
    if (event.type === 'workspace_checkpointed' || event.type === 'turn_finished') progressed = true;
    if (event.type === 'session_parked') leaves = 'parked';
    if (event.type === 'epoch_drained') leaves = 'drained';
    if (event.type === 'diff_summary' && event.key !== null) diffKey = event.key;
    return event;
  });
  const last = events.at(-1);
  return {
    events,
    state,
    reason,
    ended: isFinal(state) && !isFinal(start.state),
    leaves,
    progressed,
    checkpoints,
    startedAtMs,
    usage,
    cliVersion,
    diffKey,
    offset: last?.offset,
    lastEventMs: last?.ts,
  };
};
