/** What every closing of an epoch writes beside the head, whoever closes it: the runner's last batch or the control plane. */
import { PARKED_MAX_MS } from '../../shared/limits.ts';
import type { SessionState } from '../../shared/session.ts';
import { addCounters, type UsageCounters, ZERO_USAGE } from '../../shared/usage.ts';
import type { Condition, Item, Write } from '../database.ts';
import { archiveDue } from '../streams/archive-rows.ts';
import { liveShardOf } from './live-index.ts';
import { releasePlacement } from './release-placement.ts';
import {
  epochKey,
  LIVE_INDEX_ATTRS,
  type SessionMeta,
  type SessionRecord,
  type SessionRef,
  type StreamHead,
} from './session-store.ts';
import { releaseSlot } from './slots.ts';

export interface ClosedEpoch {
  /** As it stood before the closing. */
  readonly record: SessionRecord;
  /** Last words of the epoch's stream, the closing batch included. */
  readonly stream: Pick<StreamHead, 'ackedRseq' | 'seq' | 'recent'>;
  readonly state: SessionState;
  /** What is billed for the epoch. */
  readonly usage: UsageCounters;
  /** The session ends with its epoch; otherwise it goes on in another one and keeps its slot. */
  readonly isOver: boolean;
}

/** Of a session that is over, with its last epoch or between two. */
export const overWrites = (ref: SessionRef, nowMs: number): Write[] => [...releaseSlot(ref), archiveDue(ref, nowMs)];

export const closingWrites = (ref: SessionRef, closed: ClosedEpoch, nowMs: number): Write[] => {
  const { head, meta } = closed.record;
  return [
    ...(closed.isOver ? overWrites(ref, nowMs) : []),
    ...releasePlacement(ref, meta.placement, nowMs),
    {
      kind: 'update',
      table: 'sessions',
      key: epochKey(ref, head.epoch),
      set: {
        closedAtMs: nowMs,
        state: closed.state,
        assignedAtMs: head.assignedAtMs,
        usage: closed.usage,
        ...closed.stream,
      },
    },
  ];
};

/** When a suspended session is looked at next; one that waits for a person is only looked at to end it. */
export interface Suspension {
  readonly isParked: boolean;
  readonly notBeforeMs: number;
}

interface MetaChange {
  readonly set: Item;
  readonly remove: readonly string[];
  readonly conditions: readonly Condition[];
}

/** Closings and late corrections change the same sum, and the second do not move `seq`. */
export const sumUnchanged = (meta: Pick<SessionMeta, 'usageRev'>): Condition => ({
  attr: 'usageRev',
  op: '=',
  value: meta.usageRev,
  orAbsent: meta.usageRev === 0,
});

/** How a suspended session stands in the live index. */
export const suspendedUntil = (
  sessionId: string,
  { isParked, notBeforeMs }: Suspension,
  nowMs: number,
): Pick<SessionMeta, 'liveShard' | 'nextCheckAtMs'> => ({
  liveShard: liveShardOf(sessionId),
  nextCheckAtMs: isParked ? nowMs + PARKED_MAX_MS : notBeforeMs,
});

/** The closing in the projection: usage of the epoch goes into the sum exactly once, since the same condition closes the head. */
export const closingMeta = (
  { record: { head, meta }, usage }: Pick<ClosedEpoch, 'record' | 'usage'>,
  suspended: Suspension | null,
  nowMs: number,
): MetaChange => {
  const { assignedAtMs, leaseUntilMs } = head;
  const ranMs = assignedAtMs === null ? 0 : Math.max(0, Math.min(nowMs, leaseUntilMs) - assignedAtMs);
  return {
    set: {
      usage: ZERO_USAGE,
      usageBefore: addCounters(meta.usageBefore, usage),
      usageRev: meta.usageRev + 1,
      ranMs: meta.ranMs + ranMs,
      placement: null,
      queuePosition: null,
      ...(suspended === null
        ? { isSuspended: false, isParked: false, endedAt: new Date(nowMs).toISOString() }
        : {
            isSuspended: true,
            isParked: suspended.isParked,
            ...suspendedUntil(
              meta.config.sessionId,
              { ...suspended, isParked: suspended.isParked || head.desired === 'pause' },
              nowMs,
            ),
          }),
    },
    remove: suspended === null ? LIVE_INDEX_ATTRS : [],
    conditions: [sumUnchanged(meta)],
  };
};
