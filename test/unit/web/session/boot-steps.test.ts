/** A start shows where it is from events, state or reason, whichever is there. */
import { describe, expect, it } from 'vitest';
import { BOOT_LIMITS_MS } from '../../../../shared/limits.ts';
import type { SessionView } from '../../../../shared/session.ts';
import { bootSteps, isBooting } from '../../../../web/src/session/boot-steps.ts';
import { mockEvents, mockSession } from '../../../e2e/mock/mock-data.ts';

const END_MS = 1_800_000_000_000;
const created = { type: 'session_created', provider: 'claude_code', buildId: 'b', createdBy: 'owner', title: 't' };
const registered = { type: 'runner_registered', runnerId: 'r1', runnerVersion: '1' };
const preparing = { type: 'workspace_preparing', repository: '/r', ref: null, step: 'preparing_workspace' };
const ready = { type: 'workspace_ready', headCommit: 'abc', branch: null, mirror: 'cold', tookMs: 5 };
const started = { type: 'provider_started', provider: 'claude_code', cliVersion: '1', pid: 1, isolation: 'own_uid' };
const proven = { type: 'gate_proven', proof: 'session_start_hook', cliInstanceId: 'c' };
const running = { type: 'session_state_changed', fromState: 'starting_provider', toState: 'running', reason: null };
const session = (over: Partial<SessionView> = {}) =>
  mockSession(1, {
    taskArn: null,
    state: 'created',
    startedAt: null,
    createdAt: new Date(END_MS).toISOString(),
    ...over,
  });
const states = (view: SessionView, drafts: (Record<string, unknown> & { type: string })[], nowMs = END_MS) =>
  bootSteps(view, mockEvents(view, drafts, END_MS), nowMs).map(({ step, state }) => `${step}: ${state}`);

describe('bootSteps', () => {
  it('begins with launching', () => {
    expect(states(session(), [created])[0]).toBe('launching: active');
    expect(
      states(session(), [])
        .slice(1)
        .every((line) => line.endsWith('pending')),
    ).toBe(true);
  });

  it('counts how long each step took and how long the active one has', () => {
    const view = session({ state: 'preparing_workspace' });
    const steps = bootSteps(view, mockEvents(view, [created, registered, preparing], END_MS), END_MS + 700);
    expect(steps.map(({ elapsedMs }) => elapsedMs)).toEqual([1_000, 1_000, 700, null, null]);
    expect(steps[2]).toMatchObject({ state: 'active', limitMs: BOOT_LIMITS_MS.preparing_workspace });
  });

  it('counts as connecting once the task is known', () => {
    const view = session({ taskArn: 'arn:task' });
    const steps = bootSteps(view, mockEvents(view, [created], END_MS), END_MS + 900);
    expect(steps.slice(0, 2)).toMatchObject([
      { state: 'done', elapsedMs: null },
      { state: 'active', elapsedMs: 900 },
    ]);
  });

  it('reads the state where events are missing', () => {
    expect(states(session({ state: 'starting_provider' }), [])).toEqual([
      'launching: done',
      'connecting: done',
      'preparing_workspace: done',
      'starting_provider: active',
      'proving_gate: pending',
    ]);
  });

  it('marks the step that the reason names as failed', () => {
    const reason = { code: 'x', message: 'm', step: 'proving_gate' as const };
    const view = session({ state: 'failed', reason, endedAt: new Date(END_MS).toISOString() });
    expect(states(view, [created, registered, preparing, ready, started]).at(-1)).toBe('proving_gate: failed');
  });

  it('is done with every step once the gate is proven', () => {
    const lines = states(session({ state: 'running' }), [
      created,
      registered,
      preparing,
      ready,
      started,
      proven,
      running,
    ]);
    expect(lines.every((line) => line.endsWith(': done'))).toBe(true);
  });

  it('has no gate to prove for a shell', () => {
    expect(states(session({ provider: 'shell' }), []).map((line) => line.split(':')[0])).not.toContain('proving_gate');
  });

  it('looks at the current epoch only', () => {
    const old = mockEvents(session(), [created, registered, preparing, ready, started, proven], END_MS);
    const steps = bootSteps(session({ epoch: 2 }), old, END_MS);
    expect(steps[0]?.state).toBe('active');
  });
});

describe('isBooting', () => {
  it('ends with running, and a later failure is not the start’s', () => {
    const events = mockEvents(session(), [created, running], END_MS);
    expect(isBooting(session(), [])).toBe(true);
    expect(isBooting(session({ state: 'running' }), events)).toBe(false);
    expect(isBooting(session({ state: 'failed' }), events)).toBe(false);
    expect(isBooting(session({ state: 'failed' }), [])).toBe(true);
    expect(isBooting(session({ state: 'completed' }), [])).toBe(false);
  });
});
