/** Gives back what ran an epoch, in the transaction that closes it: its condition on the open head makes that happen once. */
import type { Placement } from '../../shared/session.ts';
import type { Write } from '../database.ts';
import { queueLeft } from '../runners/group-queue.ts';
import { placeGivenBack } from '../runners/host-store.ts';
import { warmReleased } from '../runners/warm-store.ts';
import type { SessionRef } from './session-store.ts';

export const releasePlacement = (ref: SessionRef, placement: Placement | null, nowMs: number): Write[] => {
  switch (placement?.kind) {
    /** Without a runner it may have waited for one. */
    case undefined:
      return [queueLeft(ref)];
    /** A task serves one epoch and ends with it. */
    case 'task':
      return [];
    case 'warm':
      return [warmReleased(placement.runnerId, nowMs)];
    case 'group':
      return placeGivenBack({ tenantId: ref.tenantId, runnerId: placement.runnerId }, ref.sessionId, nowMs);
  }
};
