import { describe, expect, test } from 'vitest';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { decideReap } from '../../../../functions/sessions/decide-reap.ts';
import { reap } from '../../../../functions/sessions/reap.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { startSession } from '../../../../functions/sessions/start-session.ts';
import { TaskStateChange, taskStateChanged } from '../../../../functions/sessions/task-stopped.ts';
import { inputsObjectKey } from '../../../../functions/streams/chunks.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import { IDEMPOTENCY_TTL_MS } from '../../../../shared/limits.ts';
import {
  addBuild,
  controlPlanePorts,
  shellBody,
  startedSession,
  TENANT,
  USER,
} from '../../../fakes/control-plane-ports.ts';

const starter = (idempotencyKey?: string) => ({ tenantId: TENANT, userId: USER, idempotencyKey });
const lost = { cause: 'runner_lost', reason: { code: 'runner_lost', message: 'gone' } } as const;

describe('start', () => {
  test('writes the session before it asks for a task, and hands over address and token only', async () => {
    const ports = controlPlanePorts();
    await addBuild(ports);
    const meta = await startSession(ports, starter(), shellBody({ prompt: 'secret prompt' }));
    const [request] = ports.tasks.launched;
    expect(request).toMatchObject({
      clientToken: `${meta.config.sessionId}#1`,
      startedBy: `${TENANT}/${meta.config.sessionId}/1`,
    });
    expect(Object.keys(request?.environment ?? {})).toEqual(['CONTROL_PLANE_URL', 'CONTROL_PLANE_TOKEN']);
    expect(JSON.stringify(request)).not.toContain('secret prompt');
    expect(meta).toMatchObject({ state: 'created', taskArn: `task/${meta.config.sessionId}#1` });
  });

  test('what gives access to the repository is stored for the runner only', async () => {
    const ports = controlPlanePorts();
    await addBuild(ports);
    const repository = { url: 'https://me-the-user:hunter22@host.test/x.git' };
    const meta = await startSession(ports, starter('key'), shellBody({ repository }));
    const ref = { tenantId: TENANT, sessionId: meta.config.sessionId };
    expect(meta.config.repository.url).toBe('https://host.test/x.git');
    const tables = ['sessions', 'events', 'tenants'] as const;
    const stored = JSON.stringify([
      meta,
      ports.tasks.launched,
      await readEvents(ports.db, ref, 0, 9),
      tables.map((name) => ports.db.all(name)),
    ]);
    expect(stored).not.toMatch(/hunter22|me-the-user/);
    expect(await ports.objects.getJson(inputsObjectKey(ref))).toMatchObject({
      repository: { token: 'hunter22', username: 'me-the-user' },
    });
    /** A digest that knew the password would let it be guessed. */
    const rotated = { url: 'https://me-the-user:hunter23@host.test/x.git' };
    const again = await startSession(ports, starter('key'), shellBody({ repository: rotated }));
    expect(again.config.sessionId).toBe(meta.config.sessionId);
  });

  test('the same key and body is the same session; another body is refused', async () => {
    const ports = controlPlanePorts();
    await addBuild(ports);
    const first = await startSession(ports, starter('key'), shellBody());
    const again = await startSession(ports, starter('key'), shellBody());
    expect(again.config.sessionId).toBe(first.config.sessionId);
    await expect(startSession(ports, starter('key'), shellBody({ prompt: 'other' }))).rejects.toMatchObject({
      code: 'idempotency_mismatch',
      status: 422,
    });
  });

  test('a key that has expired starts anew, also while its item still stands', async () => {
    const ports = controlPlanePorts();
    await addBuild(ports);
    const first = await startSession(ports, starter('key'), shellBody());
    ports.clock.advance(IDEMPOTENCY_TTL_MS - 1_000);
    expect((await startSession(ports, starter('key'), shellBody())).config.sessionId).toBe(first.config.sessionId);
    ports.clock.advance(1_000);
    const other = shellBody({ prompt: 'another body' });
    const second = await startSession(ports, starter('key'), other);
    expect(second.config.sessionId).not.toBe(first.config.sessionId);
    expect((await startSession(ports, starter('key'), other)).config.sessionId).toBe(second.config.sessionId);
  });

  test('twenty starts with one key make one session', async () => {
    const ports = controlPlanePorts();
    await addBuild(ports);
    const started = await Promise.all(
      Array.from({ length: 20 }, () => startSession(ports, starter('key'), shellBody())),
    );
    expect(new Set(started.map((meta) => meta.config.sessionId)).size).toBe(1);
    expect(ports.db.all('tenants').find((item) => item.sk === 'SLOTS')).toMatchObject({ live: 1 });
  });

  test('a repeat launches the task that a crash left out, with the same parameters', async () => {
    const ports = controlPlanePorts();
    await addBuild(ports);
    const launch = ports.tasks.launch;
    ports.tasks.launch = async () => Promise.reject(new Error('crash'));
    await expect(startSession(ports, starter('key'), shellBody())).rejects.toThrow('crash');
    ports.tasks.launch = launch;
    await startSession(ports, starter('key'), shellBody());
    await startSession(ports, starter('key'), shellBody());
    expect(ports.tasks.launched).toHaveLength(1);
  });

  test('a refused launch fails the session with its reason and frees the slot', async () => {
    const ports = controlPlanePorts();
    await addBuild(ports);
    ports.tasks.nextLaunch = { kind: 'refused', reason: 'RESOURCE:CPU' };
    const meta = await startSession(ports, starter(), shellBody());
    expect(meta).toMatchObject({ state: 'failed', reason: { code: 'launch_failed', step: 'launching' } });
    expect(ports.db.all('tenants').find((item) => item.sk === 'SLOTS')).toMatchObject({ live: 0 });
  });

  test.each([
    [{ provider: 'codex' }, 'provider_unavailable'],
    [{ provider: 'claude_code' }, 'provider_unavailable'],
    [{ buildId: 'nowhere' }, 'build_unavailable'],
  ])('refuses %o with what to do', async (over, code) => {
    const ports = controlPlanePorts();
    await addBuild(ports);
    await expect(startSession(ports, starter(), shellBody(over))).rejects.toMatchObject({ code });
    expect(ports.db.all('sessions')).toHaveLength(0);
  });
});

describe('desired', () => {
  test('stop absorbs everything after it', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    expect((await setDesired(ports, ref, 'pause', USER)).desired).toBe('pause');
    expect((await setDesired(ports, ref, 'stop', USER)).desired).toBe('stop');
    expect((await setDesired(ports, ref, 'stop', USER)).desired).toBe('stop');
    await expect(setDesired(ports, ref, 'run', USER)).rejects.toMatchObject({ code: 'conflict' });
    expect((await readEvents(ports.db, ref, 1, 9)).filter(({ type }) => type === 'desired_changed')).toHaveLength(2);
  });

  test('is pushed to the runner with its revision', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    await ports.runners.set(ref, { connectionId: 'c1', epoch: 1, dial: 1 });
    await setDesired(ports, ref, 'pause', USER);
    expect(ports.runnerSender.posted).toMatchObject([
      { connectionId: 'c1', frame: { type: 'desired', desired: 'pause', rev: 1, epoch: 1 } },
    ]);
  });

  test('another tenant finds nothing', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    await expect(setDesired(ports, { ...ref, tenantId: 'other' }, 'stop', USER)).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});

describe('closing', () => {
  test('happens once, only on the lease that was read, with a close-out row', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const head = await ports.sessions.head(ref);
    if (head === null) throw new Error('no session');
    for (const asRead of [
      { ...head, leaseUntilMs: 1 },
      { ...head, assignedAtMs: 1 },
    ])
      expect(await closeEpoch(ports, ref, { epoch: 1, asRead, ...lost })).toBe(false);
    const closings = Array.from({ length: 5 }, () => closeEpoch(ports, ref, { epoch: 1, asRead: head, ...lost }));
    expect((await Promise.all(closings)).filter(Boolean)).toHaveLength(1);
    expect(ports.db.all('usage')).toMatchObject([{ kind: 'close_out', source: 'reaper', agentMs: 0 }]);
    expect(await ports.sessions.meta(ref)).toMatchObject({ state: 'created', isSuspended: true, strikes: 1 });
  });

  test('the reaper closes a start whose runner never came, and stops its task', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const onError = () => expect.unreachable();
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 0, closed: 0, failed: 0 });
    ports.clock.advance(181_000);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, closed: 1, failed: 0 });
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true, reason: { code: 'start_timeout' } });
    expect(ports.tasks.stopped).toHaveLength(1);
  });

  test('a session that cannot be reaped does not keep the others waiting', async () => {
    const ports = controlPlanePorts();
    await startedSession(ports);
    await startedSession(ports);
    ports.clock.advance(181_000);
    let calls = 0;
    ports.tasks.status = async () => {
      calls += 1;
      if (calls === 1) throw new Error('ECS is away');
      return { kind: 'live' };
    };
    expect(await reap({ ...ports, onError: () => {} })).toMatchObject({ checked: 2, closed: 1, failed: 1 });
    /** Postponed, so that it does not fill the next page; looked at again later. */
    expect(await reap({ ...ports, onError: () => {} })).toMatchObject({ checked: 0 });
    ports.clock.advance(90_000);
    expect(await reap({ ...ports, onError: () => {} })).toMatchObject({ closed: 1, continued: 1, failed: 0 });
  });

  test('a stopped task counts only for the session, epoch and task it names', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const event = (over: Record<string, unknown>) =>
      TaskStateChange.parse({
        detail: {
          taskArn: `task/${ref.sessionId}#1`,
          lastStatus: 'STOPPED',
          startedBy: `${TENANT}/${ref.sessionId}/1`,
          version: 5,
          containers: [{ exitCode: 137 }],
          ...over,
        },
      });
    expect(await taskStateChanged(ports, event({ taskArn: 'another' }))).toBe('ignored');
    expect(await taskStateChanged(ports, event({ startedBy: `${TENANT}/${ref.sessionId}/2` }))).toBe('ignored');
    expect(await taskStateChanged(ports, event({ lastStatus: 'RUNNING' }))).toBe('ignored');
    expect(await taskStateChanged(ports, event({ startedBy: 'somebody' }))).toBe('ignored');
    expect(await taskStateChanged(ports, event({}))).toBe('closed');
    expect(await taskStateChanged(ports, event({}))).toBe('ignored');
    expect((await ports.sessions.meta(ref))?.reason?.message).toContain('exit code 137');
  });
});

describe('decideReap', () => {
  const head = { leaseUntilMs: 1_000, assignedAtMs: 5 };
  test.each([
    ['before the lease ends', 999, { kind: 'live' }, 'wait'],
    ['suspect while its task lives', 1_000, { kind: 'live' }, 'wait'],
    ['task stopped', 1_000, { kind: 'stopped', why: 'x', exitCode: 1 }, 'close'],
    ['15 minutes of silence', 901_000, { kind: 'unknown' }, 'close'],
  ] as const)('%s', (_name, nowMs, task, action) => {
    expect(decideReap(head, task, nowMs).action).toBe(action);
  });
});
