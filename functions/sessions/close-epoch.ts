/**
 * Ends an epoch whose runner cannot end it: close-out row, placement, and either the end of the session or its suspension, in one
 * transaction, only on the lease that was read. What goes on is found by the stream's consumer and in the live index.
 */
import type { EventDraft } from '../../shared/events.ts';
import type { SessionState, StateReason } from '../../shared/session.ts';
import type { Item, Write } from '../database.ts';
import { closeOutRow } from '../metering/usage-rows.ts';
import { type Append, type AppendPorts, appendEvents } from '../streams/append-events.ts';
import { closingMeta, closingWrites } from './closing-writes.ts';
import { type ClosingCause, type ClosingDecision, decideClosing, pathTo } from './decide-closing.ts';
import type { SessionMeta, SessionRecord, SessionRef, StreamHead } from './session-store.ts';

/** As the schemas of the events bound them: what others say (ECS) may be of any length, and must not make the log unreadable. */
const REASON_MAX_CHARS = 2_000;
const WHY_MAX_CHARS = 500;
const ALERT_MAX_CHARS = 1_000;

export interface Closing {
  readonly epoch: number;
  /** The reaper's fence: nothing is closed when the lease or the assignment moved since it was read. `null`: a fact of ECS, which needs none. */
  readonly asRead: Pick<StreamHead, 'leaseUntilMs' | 'assignedAtMs'> | null;
  readonly cause: ClosingCause;
  readonly reason: StateReason;
}

const hasMoved = (head: StreamHead, asRead: NonNullable<Closing['asRead']>): boolean =>
  head.leaseUntilMs !== asRead.leaseUntilMs || head.assignedAtMs !== asRead.assignedAtMs;

const cut = (reason: StateReason): StateReason => ({ ...reason, message: reason.message.slice(0, REASON_MAX_CHARS) });

/** State changes up to the final one, and the end itself. */
export const endingEvents = (
  from: SessionState,
  to: 'completed' | 'failed',
  reason: StateReason,
  { createdAt }: Pick<SessionMeta, 'createdAt'>,
  nowMs: number,
): EventDraft[] => {
  let fromState = from;
  const changes = pathTo(from, to).map((toState): EventDraft => {
    const change: EventDraft = { type: 'session_state_changed', fromState, toState, reason };
    fromState = toState;
    return change;
  });
  const durationMs = Math.max(0, nowMs - Date.parse(createdAt));
  return [...changes, { type: 'session_ended', state: to, reason, durationMs }];
};

const eventsOf = (
  { head, meta }: SessionRecord,
  decision: ClosingDecision,
  why: string,
  nowMs: number,
): readonly EventDraft[] => {
  const lost: EventDraft = { type: 'runner_lost', why: why.slice(0, WHY_MAX_CHARS), leaseUntilMs: head.leaseUntilMs };
  if (decision.kind === 'goes_on') return [lost];
  const { alert, state, reason } = decision;
  const alerts: EventDraft[] =
    alert === null ? [] : [{ type: 'alert_raised', code: 'poison_start', message: alert.slice(0, ALERT_MAX_CHARS) }];
  return [lost, ...alerts, ...endingEvents(head.state, state, cut(reason), meta, nowMs)];
};

/** What the decision writes: strikes of a session that goes on, or its end. */
const outcomeOf = (decision: ClosingDecision): { head: Item; meta: Item } => {
  const reason = cut(decision.reason);
  if (decision.kind === 'over') return { head: { state: decision.state }, meta: { state: decision.state, reason } };
  const { strikes, refusals } = decision;
  return { head: {}, meta: { strikes, refusals, reason } };
};

const planClosing = (ref: SessionRef, record: SessionRecord, closing: Closing, nowMs: number): Append => {
  const { head, meta } = record;
  const decision = decideClosing({ head, meta, cause: closing.cause, reason: closing.reason, nowMs });
  const isOver = decision.kind === 'over';
  const events = eventsOf(record, decision, closing.reason.message, nowMs);
  const seq = head.seq + events.length;
  const billing = { ref, meta, epoch: head.epoch, assignedAtMs: head.assignedAtMs, nowMs };
  const outcome = outcomeOf(decision);
  const change = closingMeta(
    { record, usage: meta.usage },
    isOver ? null : { isParked: false, notBeforeMs: decision.notBeforeMs },
    nowMs,
  );
  const closed = {
    record,
    stream: { ackedRseq: head.ackedRseq, seq, recent: head.recent },
    state: isOver ? decision.state : head.state,
    usage: meta.usage,
    isOver,
  };
  const writes: Write[] = [closeOutRow(billing, head.ackedRseq + 1, seq), ...closingWrites(ref, closed, nowMs)];
  return {
    events,
    head: { open: false, placement: null, ...outcome.head },
    meta: { ...change.set, ...outcome.meta },
    removeMeta: change.remove,
    metaConditions: change.conditions,
    writes,
  };
};

/** @returns whether this call closed it; `false` when it was closed, renewed or succeeded in the meantime */
export const closeEpoch = async (ports: AppendPorts, ref: SessionRef, closing: Closing): Promise<boolean> => {
  const result = await appendEvents(ports, ref, (record, nowMs) => {
    const { head } = record;
    if (!head.open || head.epoch !== closing.epoch) return null;
    if (closing.asRead !== null && hasMoved(head, closing.asRead)) return null;
    return planClosing(ref, record, closing, nowMs);
  });
  return result !== null && result.appended.length > 0;
};
