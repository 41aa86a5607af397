import { describe, expect, test } from 'vitest';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { reap } from '../../../../functions/sessions/reap.ts';
import { reconcile } from '../../../../functions/sessions/reconcile.ts';
import { headKey, type SessionRef } from '../../../../functions/sessions/session-store.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { ORPHAN_GRACE_MS, START_TIMEOUT_MS } from '../../../../shared/limits.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import {
  batchOf,
  controlPlanePorts,
  startedSession,
  type TestPorts,
  USER,
} from '../../../fakes/control-plane-ports.ts';

const state = (fromState: string, toState: string): EventDraft =>
  ({ type: 'session_state_changed', fromState, toState, reason: null }) as EventDraft;
const LADDER = ['created', 'preparing_workspace', 'starting_provider', 'running', 'stopping'] as const;
const steps = (count: number) => LADDER.slice(1, count + 1).map((to, index) => state(LADDER[index] ?? '', to));
const MINUTE = 60_000;
const lost = { cause: 'runner_lost', reason: { code: 'runner_lost', message: 'The task is gone.' } } as const;

const setUp = async (count: number) => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  if (count > 0) await ingestBatch(ports, ref, batchOf(ref, 1, steps(count)));
  return { ports, ref };
};
const assigned = (ports: TestPorts, ref: SessionRef) =>
  ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: { assignedAtMs: ports.clock.nowMs() },
  });
const closed = async (count: number, isStopAsked: boolean) => {
  const { ports, ref } = await setUp(count);
  if (isStopAsked) await setDesired(ports, ref, 'stop', USER);
  expect(await closeEpoch(ports, ref, { epoch: 1, asRead: null, ...lost })).toBe(true);
  const meta = await ports.sessions.meta(ref);
  if (meta === null) throw new Error('no session');
  return meta;
};

describe('an epoch that the control plane closes', () => {
  test.each(LADDER.map((from, count) => [from, count] as const))(
    'from %s suspends the session, with the reason; one that was stopping by itself has failed',
    async (from, count) => {
      const meta = await closed(count, false);
      if (from === 'stopping') expect(meta).toMatchObject({ state: 'failed', reason: lost.reason, isSuspended: false });
      else
        expect(meta).toMatchObject({
          state: from,
          reason: { ...lost.reason, hint: expect.stringContaining('by itself') },
          isSuspended: true,
          endedAt: null,
        });
    },
  );

  test.each(LADDER.map((from, count) => [from, count] as const))(
    'from %s after a stop was asked has ended as asked',
    async (_from, count) => {
      const meta = await closed(count, true);
      expect(meta).toMatchObject({ state: 'completed', reason: { code: 'stopped' }, isSuspended: false });
      expect(meta.endedAt).not.toBeNull();
    },
  );

  test('what was asked of it afterwards is told as it is', async () => {
    const { ports, ref } = await setUp(3);
    await ingestBatch(ports, ref, batchOf(ref, 4, [state('running', 'failed')]));
    expect((await setDesired(ports, ref, 'stop', USER)).state).toBe('failed');
    for (const late of ['pause', 'run'] as const)
      await expect(setDesired(ports, ref, late, USER)).rejects.toMatchObject({ code: 'session_ended' });
    expect(ports.runnerSender.posted).toEqual([]);
  });

  test('stop absorbs what comes after it', async () => {
    const { ports, ref } = await setUp(3);
    await setDesired(ports, ref, 'stop', USER);
    await expect(setDesired(ports, ref, 'run', USER)).rejects.toMatchObject({ code: 'conflict' });
    expect((await setDesired(ports, ref, 'stop', USER)).desired).toBe('stop');
    expect((await ports.sessions.head(ref))?.desiredRev).toBe(1);
  });
});

describe('the reaper', () => {
  const onError = () => expect.unreachable();

  test('bills what was seen when the runner last counted, not what passed until the closing', async () => {
    const { ports, ref } = await setUp(3);
    await assigned(ports, ref);
    ports.clock.advance(30 * MINUTE);
    const tick: EventDraft = {
      type: 'usage_tick',
      counters: { ...ZERO_USAGE, agentMs: 120 * MINUTE },
      final: false,
      cliVersion: '5.2',
      runnerBuild: 'r1',
      taskDefinition: 'td:1',
    };
    await ingestBatch(ports, ref, batchOf(ref, 4, [tick]));
    expect((await ports.sessions.meta(ref))?.usage.agentMs).toBe(30 * MINUTE);
    ports.clock.advance(17 * MINUTE);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, closed: 1, failed: 0 });
    expect(ports.db.all('usage')).toMatchObject([
      { kind: 'tick', agentMs: 30 * MINUTE, clampedMs: 90 * MINUTE },
      { kind: 'close_out', agentMs: 30 * MINUTE, clampedMs: 0 },
    ]);
  });

  test('waits for a runner that is suspect, then closes after a quarter of an hour of silence', async () => {
    const { ports, ref } = await setUp(3);
    await assigned(ports, ref);
    ports.clock.advance(200_000);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, closed: 0, failed: 0 });
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 0, closed: 0, failed: 0 });
    ports.clock.advance(90_000);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, closed: 0, failed: 0 });
    ports.clock.advance(900_000);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, closed: 1, failed: 0 });
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true, reason: { code: 'runner_lost' } });
    expect(ports.tasks.stopped).toHaveLength(1);
  });

  test('asks nothing of ECS while the lease holds', async () => {
    const { ports, ref } = await setUp(0);
    ports.clock.advance(179_000);
    await ingestBatch(ports, ref, batchOf(ref, 1, []));
    ports.clock.advance(60_000);
    ports.tasks.status = async () => expect.unreachable();
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, closed: 0, failed: 0 });
  });

  test('leaves a session whose lease was renewed while it looked', async () => {
    const { ports, ref } = await setUp(0);
    ports.clock.advance(181_000);
    ports.tasks.status = async () => {
      await ingestBatch(ports, ref, batchOf(ref, 1, []));
      return { kind: 'stopped', why: 'a fact that came late', exitCode: 1 };
    };
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, closed: 0, failed: 0 });
    expect((await ports.sessions.meta(ref))?.state).toBe('created');
  });

  test('a runner that says hello while the reaper looks keeps its task and its session', async () => {
    const { ports, ref } = await setUp(0);
    ports.clock.advance(START_TIMEOUT_MS);
    ports.tasks.status = async () => {
      await assigned(ports, ref);
      return { kind: 'live' };
    };
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, closed: 0, failed: 0 });
    expect((await ports.sessions.meta(ref))?.state).toBe('created');
    expect(ports.tasks.stopped).toEqual([]);
  });

  test('a hello between reading and closing is fenced by the transaction itself', async () => {
    const { ports, ref } = await setUp(0);
    const transact = ports.db.transact.bind(ports.db);
    ports.db.transact = async (writes) => {
      ports.db.transact = transact;
      await assigned(ports, ref);
      return transact(writes);
    };
    const head = await ports.sessions.head(ref);
    expect(await closeEpoch(ports, ref, { epoch: 1, asRead: head, ...lost })).toBe(false);
    expect((await ports.sessions.head(ref))?.open).toBe(true);
  });

  test('a task that it cannot stop is reported; its epoch is closed, and reconciling stops the task', async () => {
    const { ports, ref } = await setUp(0);
    const taskArn = `task/${ref.sessionId}#1`;
    ports.tasks.running = [{ taskArn, startedBy: `${ref.tenantId}/${ref.sessionId}/1` }];
    ports.clock.advance(START_TIMEOUT_MS);
    const stop = ports.tasks.stop;
    ports.tasks.stop = async () => Promise.reject(new Error('ECS is away'));
    expect(await reap({ ...ports, onError: () => {} })).toMatchObject({ checked: 1, failed: 1 });
    expect(await ports.sessions.head(ref)).toMatchObject({ open: false });
    ports.tasks.stop = stop;
    ports.clock.advance(ORPHAN_GRACE_MS);
    expect(await reconcile({ ...ports, onError })).toMatchObject({ stopped: 1, failed: 0, complete: true });
    expect(ports.tasks.stopped).toEqual([taskArn]);
  });
});
