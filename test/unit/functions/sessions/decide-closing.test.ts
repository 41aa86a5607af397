import { describe, expect, test } from 'vitest';
import {
  backoffMs,
  type ClosingCause,
  causeOfStop,
  decideClosing,
  hasProgressed,
  pathTo,
} from '../../../../functions/sessions/decide-closing.ts';
import { decideContinue } from '../../../../functions/sessions/decide-continue.ts';
import type { SessionRecord } from '../../../../functions/sessions/session-store.ts';
import {
  CONTINUE_BACKOFF_FIRST_MS,
  CONTINUE_BACKOFF_MAX_MS,
  EPOCH_PROGRESS_MS,
  LEASE_MS,
} from '../../../../shared/limits.ts';
import { canMove, SESSION_STATES, type SessionState } from '../../../../shared/session.ts';

const NOW = 10_000_000;
const reason = { code: 'runner_lost', message: 'gone' };
const head = {
  epoch: 2,
  state: 'running' as SessionState,
  desired: 'run' as const,
  leaseUntilMs: NOW - 1,
  progressed: false,
  runningAtMs: null,
};
type Facts = Parameters<typeof decideClosing>[0];
const decide = (over: Partial<Facts['head']>, meta: Partial<Facts['meta']> = {}, cause: ClosingCause = 'runner_lost') =>
  decideClosing({
    head: { ...head, ...over },
    meta: { strikes: 0, refusals: 0, ...meta },
    cause,
    reason,
    nowMs: NOW,
  });

describe('an epoch closed by the control plane', () => {
  test.each([
    ['asked to stop', { desired: 'stop' }, {}, 'runner_lost', 'over completed'],
    ['asked to stop, at the last strike', { desired: 'stop' }, { strikes: 2 }, 'runner_lost', 'over completed'],
    ['asked to stop, launch refused', { desired: 'stop', epoch: 1 }, {}, 'launch_refused', 'over completed'],
    ['stopping by itself', { state: 'stopping' }, {}, 'runner_lost', 'over failed'],
    ['first launch refused', { epoch: 1, state: 'created' }, {}, 'launch_refused', 'over failed'],
    ['first launch impossible', { epoch: 1, state: 'created' }, {}, 'launch_impossible', 'over failed'],
    ['first runner never came', { epoch: 1, state: 'created' }, {}, 'runner_lost', 'strike 1'],
    ['lost once', {}, {}, 'runner_lost', 'strike 1'],
    ['lost twice', {}, { strikes: 1 }, 'runner_lost', 'strike 2'],
    ['lost three times', {}, { strikes: 2 }, 'runner_lost', 'over failed'],
    ['lost with a turn done', { progressed: true }, { strikes: 2 }, 'runner_lost', 'strike 0'],
    ['its host went', {}, { strikes: 2 }, 'host_lost', 'strike 2'],
    ['its runner was revoked', {}, { strikes: 2 }, 'runner_revoked', 'strike 2'],
    ['no capacity for the next', {}, { strikes: 2 }, 'launch_refused', 'strike 2'],
    ['the next cannot be launched', {}, { strikes: 1 }, 'launch_impossible', 'strike 2'],
    ['the next can never be launched', {}, { strikes: 2 }, 'launch_impossible', 'over failed'],
    ['paused', { desired: 'pause', state: 'paused_by_human' }, {}, 'host_lost', 'strike 0'],
    ['its runner did not take it', { epoch: 1, state: 'created' }, {}, 'assign_refused', 'strike 0'],
    ['no runner of its group took it', { state: 'created' }, {}, 'nobody_took', 'over failed'],
  ] as const)('%s', (_name, over, meta, cause, expected) => {
    const decision = decide(over, meta, cause);
    const said = decision.kind === 'over' ? `over ${decision.state}` : `strike ${decision.strikes}`;
    expect(said).toBe(expected);
  });

  test('the last strike says what happened the last time, and raises the alarm', () => {
    expect(decide({}, { strikes: 2 })).toMatchObject({
      reason: { code: 'poison_start', message: expect.stringContaining('gone') },
      alert: expect.stringContaining('3 times'),
    });
  });

  test.each([
    ['lost with progress: at once', { progressed: true }, {}, 'runner_lost', NOW],
    ['host lost: at once', {}, {}, 'host_lost', NOW],
    ['first strike', {}, {}, 'runner_lost', NOW + CONTINUE_BACKOFF_FIRST_MS],
    ['second strike', {}, { strikes: 1 }, 'runner_lost', NOW + 2 * CONTINUE_BACKOFF_FIRST_MS],
    ['third refusal', {}, { refusals: 2 }, 'launch_refused', NOW + 4 * CONTINUE_BACKOFF_FIRST_MS],
    ['not taken: at once', {}, {}, 'assign_refused', NOW],
    ['not taken again and again', {}, { refusals: 3 }, 'assign_refused', NOW + 4 * CONTINUE_BACKOFF_FIRST_MS],
    ['revoked: once its runner has frozen', { leaseUntilMs: NOW + 7 }, {}, 'runner_revoked', NOW + 7],
  ] as const)('the next epoch, %s', (_name, over, meta, cause, notBeforeMs) => {
    expect(decide(over, meta, cause)).toMatchObject({ kind: 'goes_on', notBeforeMs });
  });

  test('the wait has an end', () => {
    expect(backoffMs(50)).toBe(CONTINUE_BACKOFF_MAX_MS);
  });

  test.each([
    ['TerminationNotice', 'host_lost'],
    ['SpotInterruption', 'host_lost'],
    ['UserInitiated', 'host_lost'],
    ['EssentialContainerExited', 'runner_lost'],
    ['TaskFailedToStart', 'runner_lost'],
    [undefined, 'runner_lost'],
  ] as const)('stop code %s', (code, cause) => {
    expect(causeOfStop(code)).toBe(cause);
  });

  test.each(SESSION_STATES.filter((state) => state !== 'completed' && state !== 'failed'))(
    'from %s an end is reached by transitions of the table only',
    (from) => {
      for (const to of ['completed', 'failed'] as const) {
        const path = [from, ...pathTo(from, to)];
        for (const [index, state] of path.slice(1).entries()) expect(canMove(path[index] ?? from, state)).toBe(true);
        expect(path.at(-1)).toBe(to);
      }
    },
  );

  test('running long enough is progress, silence is not', () => {
    const spokenFor = (ms: number) => ({ progressed: false, runningAtMs: 1_000, leaseUntilMs: 1_000 + ms + LEASE_MS });
    expect(hasProgressed(spokenFor(EPOCH_PROGRESS_MS - 1))).toBe(false);
    expect(hasProgressed(spokenFor(EPOCH_PROGRESS_MS))).toBe(true);
    expect(hasProgressed({ progressed: false, runningAtMs: null, leaseUntilMs: NOW })).toBe(false);
  });
});

describe('what follows for a session', () => {
  const meta = {
    isSuspended: true,
    isParked: false,
    desired: 'run',
    placement: null,
    queuePosition: null,
    nextCheckAtMs: NOW,
  };
  const stands = (over: Record<string, unknown>, overMeta: Record<string, unknown> = {}) =>
    ({
      head: { state: 'running', desired: 'run', open: false, assignedAtMs: 1, ...over },
      meta: { ...meta, desired: over.desired ?? 'run', ...overMeta },
    }) as unknown as SessionRecord;
  const unplaced = { open: true, state: 'created', assignedAtMs: null };

  test.each([
    ['suspended and due', {}, {}, 'raise'],
    ['backing off', {}, { nextCheckAtMs: NOW + 1 }, 'wait'],
    ['asked to stop, also while backing off', { desired: 'stop' }, { nextCheckAtMs: NOW + 1 }, 'end'],
    ['given back while it was stopping', { state: 'stopping' }, {}, 'end'],
    ['parked', {}, { isParked: true, nextCheckAtMs: NOW + 1 }, 'wait'],
    ['parked too long', {}, { isParked: true }, 'end'],
    ['paused between epochs', { desired: 'pause' }, { nextCheckAtMs: NOW + 1 }, 'wait'],
    ['running', { open: true }, { placement: { kind: 'task', taskArn: 'a' } }, 'nothing'],
    ['over', { state: 'failed' }, {}, 'nothing'],
    ['open without a runner, overdue', unplaced, {}, 'place'],
    ['open without a runner, just raised', unplaced, { nextCheckAtMs: NOW + 1 }, 'wait'],
    ['queued, its turn to be looked at', unplaced, { queuePosition: 2 }, 'place'],
    ['assigned before its placement was written', { ...unplaced, assignedAtMs: 5 }, {}, 'nothing'],
    ['open without a runner, asked to stop', { ...unplaced, desired: 'stop' }, {}, 'nothing'],
  ] as const)('%s', (_name, over, overMeta, action) => {
    expect(decideContinue(stands(over, overMeta), NOW).action).toBe(action);
  });
});
