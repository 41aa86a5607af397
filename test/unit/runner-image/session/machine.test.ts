import { describe, expect, it } from 'vitest';
import { converge, newerDesired } from '../../../../runner-image/src/session/convergence.ts';
import { type MachineEvent, nextState } from '../../../../runner-image/src/session/machine.ts';
import { SESSION_STATES, SESSION_TRANSITIONS } from '../../../../shared/session.ts';

const reason = { code: 'x', message: 'y' };
const EVENTS: MachineEvent[] = [
  { type: 'PREPARE' },
  { type: 'PREPARED' },
  { type: 'READY' },
  { type: 'APPROVAL_NEEDED' },
  { type: 'APPROVALS_DONE' },
  { type: 'PAUSE' },
  { type: 'RESUME', isWaiting: true },
  { type: 'RESUME', isWaiting: false },
  { type: 'STOP', reason: null },
  { type: 'DONE', reason: null },
  { type: 'FAIL', reason },
];

describe('session machine', () => {
  it.each(SESSION_STATES)('leaves %s only as the shared table says, and everywhere it says', (state) => {
    const reached = new Set(EVENTS.flatMap((event) => nextState(state, event) ?? []));
    expect([...reached].sort()).toEqual([...SESSION_TRANSITIONS[state]].sort());
  });

  it('returns from a pause to the approval that still waits', () => {
    expect(nextState('paused_by_human', { type: 'RESUME', isWaiting: true })).toBe('waiting_for_approval');
    expect(nextState('paused_by_human', { type: 'RESUME', isWaiting: false })).toBe('running');
  });
});

describe('convergence', () => {
  it.each([
    ['running', 'pause', 'pause'],
    ['waiting_for_approval', 'pause', 'pause'],
    ['starting_provider', 'pause', 'none'],
    ['paused_by_human', 'pause', 'none'],
    ['paused_by_human', 'run', 'resume'],
    ['running', 'run', 'none'],
    ['created', 'stop', 'stop'],
    ['preparing_workspace', 'stop', 'stop'],
    ['paused_by_human', 'stop', 'stop'],
    ['stopping', 'stop', 'none'],
    ['completed', 'stop', 'none'],
    ['failed', 'run', 'none'],
  ] as const)('%s, asked to %s: %s', (state, desired, action) => expect(converge(state, desired)).toBe(action));

  it.each([
    [
      { desired: 'run', rev: 1 },
      { desired: 'pause', rev: 2 },
      { desired: 'pause', rev: 2 },
    ],
    [
      { desired: 'pause', rev: 2 },
      { desired: 'run', rev: 1 },
      { desired: 'pause', rev: 2 },
    ],
    [
      { desired: 'pause', rev: 2 },
      { desired: 'run', rev: 2 },
      { desired: 'pause', rev: 2 },
    ],
    [
      { desired: 'stop', rev: 2 },
      { desired: 'run', rev: 3 },
      { desired: 'stop', rev: 3 },
    ],
    [
      { desired: 'run', rev: 5 },
      { desired: 'stop', rev: 4 },
      { desired: 'stop', rev: 5 },
    ],
  ] as const)('of %o and %o stands %o', (known, told, stands) => expect(newerDesired(known, told)).toEqual(stands));
});
