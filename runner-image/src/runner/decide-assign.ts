/** What a runner answers to an assignment: told twice it takes it once, and beyond its places it says so. Pure. */
import type { RunnerPrincipal } from '../../../shared/runner-credential.ts';

export interface AssignFacts {
  readonly kind: RunnerPrincipal['kind'];
  readonly capacity: number;
  readonly isDraining: boolean;
  /** Sessions that take a place, and all that have not ended. */
  readonly live: number;
  readonly held: number;
  /** Sessions started by this process or one before it. */
  readonly hasServed: boolean;
  /** Of the same session, if it is held. */
  readonly heldEpoch: number | null;
  /** This epoch has ended here, or was refused. */
  readonly wasAnswered: boolean;
  /** An earlier process held the session, and it cannot be taken up yet. */
  readonly isStuck: boolean;
}

export type AssignDecision =
  | { readonly kind: 'start' }
  /** Held already, or older than what is held. */
  | { readonly kind: 'known' }
  /** An older epoch of it has to end first: both work in one folder. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'refuse'; readonly reason: 'full' | 'draining'; readonly message: string };

const refuse = (reason: 'full' | 'draining', message: string): AssignDecision => ({ kind: 'refuse', reason, message });

export const decideAssign = (facts: AssignFacts, epoch: number): AssignDecision => {
  const { kind, capacity, isDraining, live, held, heldEpoch } = facts;
  if (heldEpoch !== null && heldEpoch >= epoch) return { kind: 'known' };
  // A start would remove what was not delivered yet, and the CLI of that epoch is still there.
  if (facts.isStuck) return refuse('full', 'What this runner holds of the session cannot be taken up yet.');
  if (facts.wasAnswered)
    return refuse('full', 'This epoch has ended here or was refused, and may run elsewhere by now.');
  if (isDraining) return refuse('draining', 'This runner gives its sessions back and takes no more.');
  if (kind !== 'group' && facts.hasServed) return refuse('full', 'This runner serves one session, which it has had.');
  if (heldEpoch !== null) return { kind: 'wait' };
  // Those that end have given their place back, or are about to: their clean-up does not keep the next one waiting.
  if (live >= capacity || held >= 2 * capacity)
    return refuse('full', `This runner holds ${live} of ${capacity} sessions.`);
  return { kind: 'start' };
};
