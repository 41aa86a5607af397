/** Epochs that end in order, and what is asked of a session between two of them. */
import { describe, expect, test } from 'vitest';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { continueSession } from '../../../../functions/sessions/continue-session.ts';
import { continueSuspended } from '../../../../functions/sessions/continue-suspended.ts';
import { reap } from '../../../../functions/sessions/reap.ts';
import { sendInput } from '../../../../functions/sessions/send-input.ts';
import { viewOf } from '../../../../functions/sessions/session-store.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import { CONTINUE_BACKOFF_FIRST_MS, PARKED_MAX_MS } from '../../../../shared/limits.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import { batchOf, controlPlanePorts, startedSession, TENANT, USER } from '../../../fakes/control-plane-ports.ts';
import {
  assigned,
  change,
  drained,
  lost,
  MINUTE,
  metas,
  onError,
  parked,
  runningSession,
  slots,
  tick,
  toRunning,
  typesOf,
} from './epochs-support.ts';

describe('an epoch that its runner gives back', () => {
  test('drained: closed in the same transaction, the slot kept, and the next epoch follows', async () => {
    const { ports, ref, next } = await runningSession();
    const ack = await ingestBatch(ports, ref, batchOf(ref, next, [tick(40_000, true), drained]));
    expect(ack).toMatchObject({ kind: 'ack' });
    expect(await ports.sessions.head(ref)).toMatchObject({ open: false, state: 'running' });
    const suspended = await ports.sessions.meta(ref);
    expect(suspended).toMatchObject({
      state: 'running',
      isSuspended: true,
      isParked: false,
      endedAt: null,
      placement: null,
      usage: ZERO_USAGE,
      usageBefore: { agentMs: 40_000, commands: 1 },
      ranMs: MINUTE,
      nextCheckAtMs: ports.clock.nowMs(),
    });
    expect(suspended?.liveShard).toMatch(/^LIVE#/);
    if (suspended !== null) expect(viewOf(suspended).parked).toBe(true);
    expect(slots(ports)).toBe(1);
    expect(ports.db.all('usage').map(({ kind }) => kind)).toEqual(['final']);
    expect(await continueSuspended({ ...ports, onError }, metas(ports))).toEqual({ continued: 1, failed: 0 });
    expect(await ports.sessions.head(ref)).toMatchObject({
      epoch: 2,
      open: true,
      state: 'created',
      ackedRseq: 0,
      offset: 0,
      recent: [],
      assignedAtMs: null,
    });
    expect(await ports.sessions.meta(ref)).toMatchObject({ epoch: 2, state: 'created', isSuspended: false });
    expect(ports.tasks.launched.map(({ clientToken }) => clientToken)).toEqual([
      `${ref.sessionId}#1`,
      `${ref.sessionId}#2`,
    ]);
    expect((await typesOf(ports, ref)).slice(-2)).toEqual(['1 epoch_drained', '2 session_resumed']);
    expect((await readEvents(ports.db, ref, 0, 99)).at(-1)).toMatchObject({ fromEpoch: 1, offset: 0, rseq: 0 });
  });

  test('given back before its CLI ran, it waits a little for the next runner', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    await assigned(ports, ref);
    await ingestBatch(ports, ref, batchOf(ref, 1, [change('created', 'preparing_workspace'), drained]));
    const again = () => continueSuspended({ ...ports, onError }, metas(ports));
    await again();
    expect(await ports.sessions.head(ref)).toMatchObject({ epoch: 1, open: false });
    ports.clock.advance(10_000);
    await again();
    expect(await ports.sessions.head(ref)).toMatchObject({ epoch: 2, open: true });
  });

  test('given back before its CLI ran again and again, it waits ever longer; once it runs it begins anew', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const waitedMs: number[] = [];
    for (let epoch = 1; epoch <= 4; epoch += 1) {
      const states = epoch === 4 ? toRunning : [change('created', 'preparing_workspace')];
      await ingestBatch(ports, ref, batchOf(ref, 1, [...states, drained], epoch));
      const dueAtMs = (await ports.sessions.meta(ref))?.nextCheckAtMs ?? 0;
      waitedMs.push(dueAtMs - ports.clock.nowMs());
      ports.clock.advance(waitedMs.at(-1) ?? 0);
      expect(await continueSession(ports, ref)).toBe('raised');
    }
    expect(waitedMs).toEqual([...[1, 2, 4].map((times) => times * CONTINUE_BACKOFF_FIRST_MS), 0]);
    expect((await ports.sessions.meta(ref))?.refusals).toBe(0);
  });

  test('the next epoch numbers its own events and bytes, and what was used before counts on', async () => {
    const { ports, ref, next } = await runningSession();
    await ingestBatch(ports, ref, batchOf(ref, next, [tick(40_000, true), drained]));
    await continueSession(ports, ref);
    await assigned(ports, ref);
    ports.clock.advance(MINUTE);
    const batch = batchOf(ref, 1, [...toRunning, tick(30_000)], 2);
    expect(await ingestBatch(ports, ref, batch)).toMatchObject({ kind: 'ack', ackedRseq: 4 });
    const meta = await ports.sessions.meta(ref);
    if (meta === null) throw new Error('no session');
    expect(viewOf(meta)).toMatchObject({ state: 'running', epoch: 2, usage: { agentMs: 70_000, commands: 2 } });
    const end = [tick(50_000, true), change('running', 'completed')];
    await ingestBatch(ports, ref, batchOf(ref, 5, end, 2));
    expect(await ports.sessions.meta(ref)).toMatchObject({
      state: 'completed',
      usage: ZERO_USAGE,
      usageBefore: { agentMs: 90_000 },
      ranMs: 2 * MINUTE,
    });
    expect(slots(ports)).toBe(0);
  });

  test('asked to stop meanwhile: it ends, and no epoch is raised', async () => {
    const { ports, ref, next } = await runningSession();
    await setDesired(ports, ref, 'stop', USER);
    await ingestBatch(ports, ref, batchOf(ref, next, [drained]));
    expect(await continueSession(ports, ref)).toBe('ended');
    expect(await ports.sessions.meta(ref)).toMatchObject({ state: 'completed', reason: { code: 'stopped' }, epoch: 1 });
    expect(await ports.sessions.meta(ref)).not.toHaveProperty('liveShard');
    expect(slots(ports)).toBe(0);
    expect((await typesOf(ports, ref)).slice(-3)).toEqual([
      '1 epoch_drained',
      '1 session_state_changed',
      '1 session_ended',
    ]);
  });

  test('parked: nothing raises it but a person, who finds it where it was', async () => {
    const { ports, ref, next } = await runningSession([change('running', 'waiting_for_approval')]);
    await ingestBatch(ports, ref, batchOf(ref, next, [parked]));
    const meta = await ports.sessions.meta(ref);
    if (meta === null) throw new Error('no session');
    expect(viewOf(meta)).toMatchObject({ state: 'waiting_for_approval', parked: true });
    expect(await continueSession(ports, ref)).toBe('waiting');
    ports.clock.advance(PARKED_MAX_MS - 1);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 0 });
    expect(await setDesired(ports, ref, 'run', USER)).toMatchObject({ epoch: 2, state: 'created', isParked: false });
    expect(ports.tasks.launched).toHaveLength(2);
    expect((await typesOf(ports, ref)).slice(-2)).toEqual(['1 desired_changed', '2 session_resumed']);
  });

  test('parked while somebody resumed it: goes on by itself', async () => {
    const { ports, ref, next } = await runningSession();
    await setDesired(ports, ref, 'pause', USER);
    await ingestBatch(ports, ref, batchOf(ref, next, [change('running', 'paused_by_human')]));
    await setDesired(ports, ref, 'run', USER);
    await ingestBatch(ports, ref, batchOf(ref, next + 1, [parked]));
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true, isParked: false });
    expect(await continueSession(ports, ref)).toBe('raised');
  });

  test('parked and never resumed: ended after two weeks', async () => {
    const { ports, ref, next } = await runningSession([change('running', 'waiting_for_approval')]);
    await ingestBatch(ports, ref, batchOf(ref, next, [parked]));
    ports.clock.advance(PARKED_MAX_MS);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, continued: 1 });
    expect(await ports.sessions.meta(ref)).toMatchObject({ state: 'failed', reason: { code: 'parked_too_long' } });
    expect(slots(ports)).toBe(0);
  });
});

describe('what is asked of a session between two epochs', () => {
  test('stop ends it at once', async () => {
    const { ports, ref } = await runningSession();
    await closeEpoch(ports, ref, { epoch: 1, ...lost });
    expect(await setDesired(ports, ref, 'stop', USER)).toMatchObject({ state: 'completed', isSuspended: false });
    expect(slots(ports)).toBe(0);
    expect(await continueSession(ports, ref)).toBe('nothing');
    await expect(setDesired(ports, ref, 'run', USER)).rejects.toMatchObject({ code: 'session_ended' });
  });

  test('pause keeps it parked until it is resumed', async () => {
    const { ports, ref } = await runningSession();
    await closeEpoch(ports, ref, { epoch: 1, ...lost });
    const paused = await setDesired(ports, ref, 'pause', USER);
    expect(viewOf(paused).parked).toBe(true);
    ports.clock.advance(24 * 60 * MINUTE);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 0 });
    expect(await continueSession(ports, ref)).toBe('waiting');
    expect(await setDesired(ports, ref, 'run', USER)).toMatchObject({ epoch: 2, desired: 'run' });
  });

  test('lost while it was paused: stays parked, too', async () => {
    const { ports, ref } = await runningSession();
    await setDesired(ports, ref, 'pause', USER);
    await closeEpoch(ports, ref, { epoch: 1, ...lost });
    expect(await continueSession(ports, ref)).toBe('waiting');
  });
});

test('input between two epochs is refused, also while the last runner still has its line', async () => {
  const { ports, ref, next } = await runningSession();
  await ports.runners.set(ref, { connectionId: 'c1', epoch: 1, dial: 1 });
  await ingestBatch(ports, ref, batchOf(ref, next, [drained]));
  await expect(sendInput(ports, ref, { data: 'x', submit: true })).rejects.toMatchObject({ code: 'session_not_ready' });
  expect(ports.runnerSender.posted).toEqual([]);
});

test('another tenant continues nothing', async () => {
  const { ports, ref, next } = await runningSession();
  await ingestBatch(ports, ref, batchOf(ref, next, [drained]));
  expect(TENANT).toBe(ref.tenantId);
  expect(await continueSession(ports, { ...ref, tenantId: 'other' })).toBe('nothing');
});
