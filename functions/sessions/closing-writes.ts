/** What every closing of an epoch writes beside the head, whoever closes it: the runner's last batch or the control plane. */
import type { Placement, SessionState } from '../../shared/session.ts';
import type { Write } from '../database.ts';
import { archiveDue } from '../streams/archive-rows.ts';
import { releasePlacement } from './release-placement.ts';
import { epochKey, type SessionRef } from './session-store.ts';
import { releaseSlot } from './slots.ts';

export interface ClosedEpoch {
  readonly epoch: number;
  readonly placement: Placement | null;
  readonly state: SessionState;
  /** The session ends with its epoch; otherwise it goes on in another one and keeps its slot. */
  readonly isOver: boolean;
}

export const closingWrites = (ref: SessionRef, closed: ClosedEpoch, nowMs: number): Write[] => [
  ...(closed.isOver ? [...releaseSlot(ref), archiveDue(ref, nowMs)] : []),
  ...releasePlacement(ref, closed.epoch, closed.placement),
  {
    kind: 'update',
    table: 'sessions',
    key: epochKey(ref, closed.epoch),
    set: { closedAtMs: nowMs, state: closed.state },
  },
];
