/** Ends a session between two epochs: asked to stop, or waiting too long for a person. Its last epoch was closed and billed before. */
import type { StateReason } from '../../shared/session.ts';
import { type Append, type AppendPorts, appendEvents } from '../streams/append-events.ts';
import { endingEvents } from './close-epoch.ts';
import { overWrites } from './closing-writes.ts';
import { decideContinue } from './decide-continue.ts';
import { LIVE_INDEX_ATTRS, type SessionRecord, type SessionRef } from './session-store.ts';

interface SuspendedEnd {
  readonly state: 'completed' | 'failed';
  readonly reason: StateReason;
}

const planSuspendedEnd = (
  ref: SessionRef,
  { head, meta }: SessionRecord,
  { state, reason }: SuspendedEnd,
  nowMs: number,
): Append => ({
  events: endingEvents(head.state, state, reason, meta, nowMs),
  head: { state },
  meta: { state, reason, endedAt: new Date(nowMs).toISOString(), isSuspended: false, isParked: false },
  removeMeta: LIVE_INDEX_ATTRS,
  writes: overWrites(ref, nowMs),
});

/** @returns whether this call ended it */
export const endSuspended = async (ports: AppendPorts, ref: SessionRef): Promise<boolean> => {
  const result = await appendEvents(ports, ref, (record, nowMs) => {
    const decision = decideContinue(record, nowMs);
    return decision.action === 'end' ? planSuspendedEnd(ref, record, decision, nowMs) : null;
  });
  return result !== null && result.appended.length > 0;
};
