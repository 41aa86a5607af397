/** Ends an epoch whose runner cannot end it: state, close-out row and slot in one transaction, only on the lease that was read. */
import type { EventDraft } from '../../shared/events.ts';
import type { StateReason } from '../../shared/session.ts';
import type { Write } from '../database.ts';
import { closeOutRow } from '../metering/usage-rows.ts';
import { type AppendPorts, appendEvents } from '../streams/append-events.ts';
import { closingWrites } from './closing-writes.ts';
import { LIVE_INDEX_ATTRS, type SessionRef, type StreamHead } from './session-store.ts';

/** As the schemas of the events bound them: what others say (ECS) may be of any length, and must not make the log unreadable. */
const REASON_MAX_CHARS = 2_000;
const WHY_MAX_CHARS = 500;

export interface Closing {
  readonly epoch: number;
  /** The reaper's fence: nothing is closed when the lease or the assignment moved since it was read. `null`: a fact of ECS, which needs none. */
  readonly asRead: Pick<StreamHead, 'leaseUntilMs' | 'assignedAtMs'> | null;
  readonly reason: StateReason;
  /** Stays in the live index, so that the task can be stopped after the closing and again by the next run. */
  readonly staysDue?: boolean;
}

const hasMoved = (head: StreamHead, asRead: NonNullable<Closing['asRead']>): boolean =>
  head.leaseUntilMs !== asRead.leaseUntilMs || head.assignedAtMs !== asRead.assignedAtMs;

/** @returns whether this call closed it; `false` when it was closed, renewed or succeeded in the meantime */
export const closeEpoch = async (ports: AppendPorts, ref: SessionRef, closing: Closing): Promise<boolean> => {
  const result = await appendEvents(ports, ref, ({ head, meta }, nowMs) => {
    if (!head.open || head.epoch !== closing.epoch) return null;
    if (closing.asRead !== null && hasMoved(head, closing.asRead)) return null;
    /** A session that people asked to stop has ended as asked, also when its runner did not live to say so. */
    const toState =
      head.desired === 'stop' && (head.state === 'stopping' || head.state === 'created') ? 'completed' : 'failed';
    const reason: StateReason =
      toState === 'completed'
        ? { code: 'stopped', message: 'Stopped on request.' }
        : { ...closing.reason, message: closing.reason.message.slice(0, REASON_MAX_CHARS) };
    const events: EventDraft[] = [
      { type: 'runner_lost', why: closing.reason.message.slice(0, WHY_MAX_CHARS), leaseUntilMs: head.leaseUntilMs },
      { type: 'session_state_changed', fromState: head.state, toState, reason },
      { type: 'session_ended', state: toState, reason, durationMs: Math.max(0, nowMs - Date.parse(meta.createdAt)) },
    ];
    const billing = { ref, meta, epoch: head.epoch, assignedAtMs: head.assignedAtMs, nowMs };
    const writes: Write[] = [
      closeOutRow(billing, head.ackedRseq + 1, head.seq + events.length),
      ...closingWrites(ref, { epoch: head.epoch, placement: meta.placement, state: toState, isOver: true }, nowMs),
    ];
    return {
      events,
      head: { open: false, state: toState },
      meta: { state: toState, reason, endedAt: new Date(nowMs).toISOString() },
      ...(closing.staysDue === true ? {} : { removeMeta: LIVE_INDEX_ATTRS }),
      writes,
    };
  });
  return result !== null && result.appended.length > 0;
};
