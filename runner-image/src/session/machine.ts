/** The session's states as an XState machine: what may follow what stands in shared/session.ts, and a test compares the two. */
import { type SnapshotFrom, setup, transition } from 'xstate';
import type { SessionState, StateReason } from '../../../shared/session.ts';

export type MachineEvent =
  | { readonly type: 'PREPARE' }
  | { readonly type: 'PREPARED' }
  | { readonly type: 'READY' }
  | { readonly type: 'APPROVAL_NEEDED' }
  | { readonly type: 'APPROVALS_DONE' }
  | { readonly type: 'PAUSE' }
  | { readonly type: 'RESUME'; readonly isWaiting: boolean }
  | { readonly type: 'STOP'; readonly reason: StateReason | null }
  | { readonly type: 'DONE'; readonly reason: StateReason | null }
  | { readonly type: 'FAIL'; readonly reason: StateReason };

const anyLive = { STOP: { target: '#session.stopping' }, FAIL: { target: '#session.failed' } } as const;

export const sessionMachine = setup({
  types: { events: {} as MachineEvent },
  guards: { isWaiting: ({ event }) => event.type === 'RESUME' && event.isWaiting },
}).createMachine({
  id: 'session',
  initial: 'created',
  states: {
    created: { on: { ...anyLive, PREPARE: 'preparing_workspace', DONE: 'completed' } },
    preparing_workspace: { on: { ...anyLive, PREPARED: 'starting_provider' } },
    starting_provider: { on: { ...anyLive, READY: 'running' } },
    running: {
      on: { ...anyLive, APPROVAL_NEEDED: 'waiting_for_approval', PAUSE: 'paused_by_human', DONE: 'completed' },
    },
    waiting_for_approval: { on: { ...anyLive, APPROVALS_DONE: 'running', PAUSE: 'paused_by_human' } },
    paused_by_human: {
      on: { ...anyLive, RESUME: [{ guard: 'isWaiting', target: 'waiting_for_approval' }, { target: 'running' }] },
    },
    stopping: { on: { DONE: 'completed', FAIL: 'failed' } },
    completed: { type: 'final' },
    failed: { type: 'final' },
  },
});

/** Where `event` leads from `from`; `null` when it leads nowhere, which callers treat as "too late". */
export const nextState = (from: SessionState, event: MachineEvent): SessionState | null => {
  const before: SnapshotFrom<typeof sessionMachine> = sessionMachine.resolveState({ value: from });
  if (before.status !== 'active') return null;
  const [after] = transition(sessionMachine, before, event);
  return after.value === from ? null : after.value;
};
