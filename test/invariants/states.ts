/** Only transitions of the table happen, and nothing leaves a final state; a new epoch alone brings a live session back to `created`. */
import { canMove, canResume, isFinal, type SessionState } from '../../shared/session.ts';
import type { StoredSession } from './stored.ts';
import { findings, type Violation } from './violation.ts';

export const checkStates = (session: StoredSession): Violation[] => {
  const { violations, expect } = findings(session);
  const { events, head, meta } = session;
  let state: SessionState = 'created';
  for (const event of events) {
    const at = `seq ${event.seq} (${event.type})`;
    if (isFinal(state) && event.type !== 'session_ended') {
      // The rest of the batch that ended it: no state of its own, and no ledger entry beyond the last tick.
      const changes = event.type === 'session_state_changed' || event.type === 'session_resumed';
      expect(!changes, 'final_state_left', `${at} follows the final state ${state}`);
    }
    if (event.type === 'session_resumed') {
      expect(canResume(state), 'transition', `${at}: a session that is ${state} cannot be resumed`);
      state = 'created';
    }
    if (event.type !== 'session_state_changed') continue;
    const { fromState, toState } = event;
    expect(fromState === state, 'transition', `${at}: from ${fromState}, but the session is ${state}`);
    expect(canMove(state, toState), 'transition', `${at}: ${state} cannot become ${toState}`);
    state = toState;
  }
  expect(head.state === state, 'transition', `the head is ${head.state}, its events end in ${state}`);
  expect(meta.state === state, 'transition', `META is ${meta.state}, its events end in ${state}`);
  const ends = events.filter(({ type }) => type === 'session_ended');
  expect(ends.length <= 1, 'final_state_left', `the session ended ${ends.length} times`);
  expect(!isFinal(state) || !head.open, 'final_state_left', `the session is ${state} and its epoch is open`);
  expect(isFinal(state) === (meta.endedAt !== null), 'transition', `${state}, and endedAt is ${meta.endedAt}`);
  return violations;
};

/** Heads as they stood one after the other, where the test saw every commit: a final state is left by none of them. */
export const checkHeadHistory = (
  session: Pick<StoredSession, 'ref'>,
  heads: readonly Pick<StoredSession['head'], 'state' | 'epoch' | 'open' | 'seq' | 'ackedRseq'>[],
): Violation[] => {
  const { violations, expect } = findings(session);
  for (const [index, head] of heads.entries()) {
    const before = heads[index - 1];
    if (before === undefined) continue;
    expect(
      !isFinal(before.state) || head.state === before.state,
      'final_state_left',
      `${before.state} → ${head.state}`,
    );
    expect(!isFinal(before.state) || !head.open, 'final_state_left', `opened again after ${before.state}`);
    expect(head.epoch >= before.epoch, 'epochs', `epoch ${before.epoch} → ${head.epoch}`);
    expect(head.epoch === before.epoch || !before.open, 'epochs', `epoch ${head.epoch} while ${before.epoch} was open`);
    const reopened = head.epoch === before.epoch && head.open && !before.open;
    expect(!reopened, 'epochs', `epoch ${head.epoch} opened again`);
    expect(head.seq >= before.seq, 'log_numbers', `seq went from ${before.seq} to ${head.seq}`);
    const isForward = head.epoch > before.epoch || head.ackedRseq >= before.ackedRseq;
    expect(isForward, 'log_numbers', `ackedRseq went from ${before.ackedRseq} to ${head.ackedRseq}`);
  }
  return violations;
};
