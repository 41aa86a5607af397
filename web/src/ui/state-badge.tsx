/** A session's state as a word with a colour; the word carries the meaning. */
import type { SessionState, SessionView } from '../../../shared/session.ts';
import { situationWords } from './session-words.ts';

const LOOKS: Readonly<Record<SessionState, string>> = {
  created: 'text-info bg-info-soft',
  preparing_workspace: 'text-info bg-info-soft',
  starting_provider: 'text-info bg-info-soft',
  running: 'text-accent bg-accent-soft',
  waiting_for_approval: 'text-warn bg-warn-soft',
  paused_by_human: 'text-warn bg-warn-soft',
  stopping: 'text-muted bg-raised',
  completed: 'text-muted bg-raised',
  failed: 'text-danger bg-danger-soft',
};
const MOVING: ReadonlySet<SessionState> = new Set([
  'created',
  'preparing_workspace',
  'starting_provider',
  'running',
  'stopping',
]);

export const StateBadge = ({ session }: { session: SessionView }) => {
  const { state } = session;
  const waits = session.queuePosition !== null || session.parked;
  return (
    <span
      data-testid="session-state"
      data-state={state}
      className={`inline-flex items-center gap-1.5 rounded-full px-2.5 py-0.5 text-[13px] font-medium whitespace-nowrap ${LOOKS[state]}`}
    >
      <span className={`size-1.5 rounded-full bg-current ${MOVING.has(state) && !waits ? 'pulse' : ''}`} />
      {situationWords(session)}
    </span>
  );
};
