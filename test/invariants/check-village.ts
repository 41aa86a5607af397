/** Every invariant that what is stored must keep, whatever went wrong before: called by the simulation and by tests with real faults. */
import { checkEnded, checkEpochs } from './epochs.ts';
import { checkKnownEpoch, type KnownEpoch } from './known-events.ts';
import { checkLedger } from './ledger.ts';
import { checkLogNumbers } from './log-numbers.ts';
import { checkPlaces } from './places.ts';
import { checkSlots } from './slots.ts';
import { checkStates } from './states.ts';
import type { StoredVillage } from './stored.ts';
import type { Violation } from './violation.ts';

export interface VillageCheck {
  readonly stored: StoredVillage;
  /** Empty where the test does not know what the runners wrote. */
  readonly known: readonly KnownEpoch[];
  /** Nothing is live any more: every session must have ended. */
  readonly isOver: boolean;
}

export const checkVillage = ({ stored, known, isOver }: VillageCheck): Violation[] => [
  ...stored.sessions.flatMap((session) => [
    ...checkLogNumbers(session),
    ...checkStates(session),
    ...checkEpochs(session),
    ...checkLedger(session),
    ...(isOver ? checkEnded(session) : []),
    ...known
      .filter(({ sessionId }) => sessionId === session.ref.sessionId)
      .flatMap((of) => checkKnownEpoch(session, of)),
  ]),
  ...checkSlots(stored),
  ...checkPlaces(stored, isOver),
];
