/** Gives back what ran an epoch, in the transaction that closes it: its condition on the open head makes that happen once. */
import type { Placement } from '../../shared/session.ts';
import type { Write } from '../database.ts';
import type { SessionRef } from './session-store.ts';

export const releasePlacement = (_ref: SessionRef, _epoch: number, placement: Placement | null): Write[] => {
  switch (placement?.kind) {
    /** A task serves one epoch and ends with it. */
    case undefined:
    case 'task':
      return [];
    case 'warm':
    case 'group':
      throw new Error(`a ${placement.kind} runner cannot be given back`);
  }
};
