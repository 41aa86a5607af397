/** Pure: what must follow for a session as it stands, so that any number of callers at any time come to the same. */
import { isFinal, type StateReason } from '../../shared/session.ts';
import { STOPPED_REASON } from './decide-closing.ts';
import { isParked, type SessionRecord } from './session-store.ts';

export type ContinueDecision =
  /** Its next epoch is to be opened. */
  | { readonly action: 'raise' }
  /** Its open epoch has no runner, and is to be placed again: its turn in the queue may have come, or whoever raised it has died. */
  | { readonly action: 'place' }
  | { readonly action: 'end'; readonly state: 'completed' | 'failed'; readonly reason: StateReason }
  | { readonly action: 'wait' }
  | { readonly action: 'nothing' };

const NOTHING: ContinueDecision = { action: 'nothing' };
const WAIT: ContinueDecision = { action: 'wait' };

const ended = (code: string, message: string): ContinueDecision => ({
  action: 'end',
  state: 'failed',
  reason: { code, message, hint: 'Start the session again.' },
});

/** The open epoch has no runner (yet): it waits in a queue, or whoever was to ask for one has not. */
export const isUnplaced = ({ head, meta }: SessionRecord): boolean =>
  head.open && head.assignedAtMs === null && meta.placement === null;

export const decideContinue = (record: SessionRecord, nowMs: number): ContinueDecision => {
  const { head, meta } = record;
  const isDue = nowMs >= (meta.nextCheckAtMs ?? 0);
  if (isFinal(head.state)) return NOTHING;
  if (head.open) {
    if (!isUnplaced(record) || head.desired === 'stop') return NOTHING;
    return isDue ? { action: 'place' } : WAIT;
  }
  if (head.desired === 'stop') return { action: 'end', state: 'completed', reason: STOPPED_REASON };
  if (head.state === 'stopping') return ended('runner_lost', 'Its runner was let go before the session had stopped.');
  if (isParked(meta))
    return isDue ? ended('parked_too_long', 'It waited for a person for two weeks, and nobody came.') : WAIT;
  return isDue ? { action: 'raise' } : WAIT;
};
