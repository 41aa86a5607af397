import { describe, expect, test } from 'vitest';
import { drainRunner, finishRevocation, revokeRunner } from '../../../../functions/runners/end-runner.ts';
import { issueCredentials } from '../../../../functions/runners/issue-credentials.ts';
import { runnerDisconnected } from '../../../../functions/runners/runner-disconnected.ts';
import { continueSession } from '../../../../functions/sessions/continue-session.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { LEASE_MS, RUNNER_LOST_MS } from '../../../../shared/limits.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import { controlPlanePorts, startedSession, TENANT, type TestPorts, USER } from '../../../fakes/control-plane-ports.ts';
import { ownRunner, runnersOf, toState } from '../../../fakes/own-runners.ts';

const onLab = (ports: TestPorts) => startedSession(ports, { pool: 'lab' });
const stateOf = async (ports: TestPorts, runnerId: string) =>
  (await runnersOf(ports)).find((runner) => runner.runnerId === runnerId)?.state;
const tickOf = (agentMs: number): EventDraft => ({
  ...{ type: 'usage_tick', counters: { ...ZERO_USAGE, agentMs }, final: false },
  ...{ cliVersion: '1', runnerBuild: 'own-1', taskDefinition: '' },
});
const said = (text: string) => ({ type: 'provider_message', role: 'assistant', text }) as const;

describe('the state of a runner', () => {
  test('follows its heartbeat and its connection', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    ports.clock.advance(RUNNER_LOST_MS - 1);
    expect(await stateOf(ports, runner.runnerId)).toBe('serving');
    expect(await runner.status(0)).toMatchObject({ type: 'pong' });
    ports.clock.advance(RUNNER_LOST_MS);
    expect(await stateOf(ports, runner.runnerId)).toBe('lost');
    await runner.again('back').hello();
    expect(await stateOf(ports, runner.runnerId)).toBe('serving');
    await runnerDisconnected(ports, runner.who);
    expect(await stateOf(ports, runner.runnerId)).toBe('serving');
    await runnerDisconnected(ports, runner.again('back').who);
    expect(await stateOf(ports, runner.runnerId)).toBe('disconnected');
  });

  test('a status that holds less than it was given hears of it again', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    ports.runnerSender.answers.set(runner.who.connectionId, 'slow');
    const ref = await onLab(ports);
    ports.runnerSender.answers.delete(runner.who.connectionId);
    expect(runner.assigned).toEqual([]);
    expect((await ports.sessions.head(ref))?.assignedAtMs).toBeNull();
    await runner.status(0);
    expect(runner.assigned).toMatchObject([{ sessionId: ref.sessionId }]);
    expect((await ports.sessions.head(ref))?.assignedAtMs).toBe(ports.clock.nowMs());
  });
});

describe('a drain', () => {
  test('is told at once and until it is heard; nothing new comes, and the runner serves again once started anew', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    const ref = await onLab(ports);
    const mine = { tenantId: TENANT, runnerId: runner.runnerId };
    expect(await drainRunner(ports, mine)).toMatchObject({
      state: 'draining',
      sessions: [{ sessionId: ref.sessionId }],
    });
    await runner.status(1);
    expect(runner.posted('runner_desired')).toEqual([
      { type: 'runner_desired', desired: 'drain' },
      { type: 'runner_desired', desired: 'drain' },
    ]);
    expect(await startedSession(ports, { pool: 'lab' }).then((other) => ports.sessions.meta(other))).toMatchObject({
      queuePosition: 1,
    });
    const cut = runner.again('cut');
    expect((await cut.hello({ sessions: [] })).desired).toBe('drain');
    await cut.status(1, { draining: true });
    const [assign] = runner.assigned;
    if (assign === undefined) throw new Error('not assigned');
    await cut.batch(assign, 1, [{ type: 'epoch_drained', why: 'drain', checkpointKey: null }]);
    await runnerDisconnected(ports, cut.who);
    expect(await stateOf(ports, runner.runnerId)).toBe('stopped');
    const anew = cut.again('anew');
    expect((await anew.hello()).desired).toBe('serve');
    expect(anew.assigned).toHaveLength(1);
  });

  test('of a runner that is not there, or of another tenant, is not found', async () => {
    const ports = controlPlanePorts();
    const { runnerId } = await ownRunner(ports);
    for (const ref of [
      { tenantId: TENANT, runnerId: 'rnr-x' },
      { tenantId: 'other', runnerId },
    ]) {
      await expect(drainRunner(ports, ref)).rejects.toMatchObject({ code: 'not_found' });
      await expect(revokeRunner(ports, ref)).rejects.toMatchObject({ code: 'not_found' });
    }
  });
});

describe('a revocation', () => {
  const setUp = async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    const ref = await onLab(ports);
    const [assign] = runner.assigned;
    if (assign === undefined) throw new Error('not assigned');
    await runner.batch(assign, 1, toState('running'));
    return { ports, runner, ref, assign, mine: { tenantId: TENANT, runnerId: runner.runnerId } };
  };
  const all = (ports: TestPorts) =>
    JSON.stringify([
      ports.db.all('sessions'),
      ports.db.all('events'),
      ports.db.all('usage'),
      ports.db.all('runners'),
      ports.db.all('connections'),
    ]);

  test('closes its epochs, cuts its connection and kills its credential at once', async () => {
    const { ports, runner, ref, mine } = await setUp();
    expect(await revokeRunner(ports, mine)).toMatchObject({ state: 'revoked', sessions: [] });
    expect(ports.runnerCloser.closed).toEqual([runner.who.connectionId]);
    expect(await ports.sessions.record(ref)).toMatchObject({
      head: { open: false },
      meta: { isSuspended: true, placement: null, strikes: 0 },
    });
    expect(ports.db.all('runners').filter(({ sk }) => sk === 'CREDENTIAL')).toEqual([]);
    expect(await ports.runners.post(ref, { type: 'ping', ts: 1 })).toBe(false);
    await expect(drainRunner(ports, mine)).rejects.toMatchObject({ code: 'conflict' });
    expect(await revokeRunner(ports, mine)).toMatchObject({ state: 'revoked' });
  });

  test('no frame that comes after it changes anything, nor is anything given out', async () => {
    const { ports, runner, assign, mine } = await setUp();
    await ports.watchers.attach(
      { tenantId: TENANT, sessionId: assign.sessionId },
      { viewerId: 'page', connectionId: 'page', userId: USER, mode: 'watch', sinceMs: 1, device: '' },
      false,
    );
    await revokeRunner(ports, mine);
    ports.clock.advance(2_001);
    const before = all(ports);
    const { capability, sessionId } = assign;
    const frames = [
      () => runner.batch(assign, 5, [said('late')]),
      () => runner.batch(assign, 1, toState('running')),
      () => runner.send({ type: 'head', capability, sessionId, epoch: 1, offset: 9, seq: 1, viewersRev: 0 }),
      () => runner.hello(),
      () => runner.again('back').hello(),
      () => runner.status(1),
      () => runner.send({ type: 'assign_refused', capability, sessionId, epoch: 1, reason: 'full', message: 'x' }),
    ];
    for (const frame of frames) await expect(frame()).rejects.toMatchObject({ code: 'invalid_credential' });
    await expect(issueCredentials({ ...ports, modelKey: async () => 'key' }, capability)).rejects.toMatchObject({
      code: 'stale_epoch',
    });
    expect(all(ports)).toBe(before);
    expect(ports.viewers.posted).toEqual([]);
  });

  test('is finished by the stream where its call died after the mark', async () => {
    const { ports, ref, mine } = await setUp();
    const { close } = ports.runnerCloser;
    ports.runnerCloser.close = async () => Promise.reject(new Error('away'));
    await expect(revokeRunner(ports, mine)).rejects.toThrow('away');
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true });
    ports.runnerCloser.close = close;
    await finishRevocation(ports, mine);
    expect(ports.runnerCloser.closed).toHaveLength(1);
    expect((await ports.sessions.head(ref))?.open).toBe(false);
  });

  test('lets sessions go on at once where the runner was told, and else after the lease, at whose end it freezes them', async () => {
    const dueInMs = async ({ ports, ref }: Awaited<ReturnType<typeof setUp>>) =>
      ((await ports.sessions.meta(ref))?.nextCheckAtMs ?? 0) - ports.clock.nowMs();
    const told = await setUp();
    await revokeRunner(told.ports, told.mine);
    expect(await dueInMs(told)).toBe(0);
    const twice = await setUp();
    await Promise.all([revokeRunner(twice.ports, twice.mine), revokeRunner(twice.ports, twice.mine)]);
    expect(await dueInMs(twice)).toBe(0);
    const away = await setUp();
    await runnerDisconnected(away.ports, away.runner.who);
    await revokeRunner(away.ports, away.mine);
    expect(await dueInMs(away)).toBeGreaterThan(0);
    const deaf = await setUp();
    deaf.ports.runnerCloser.close = async () => Promise.reject(new Error('away'));
    await expect(revokeRunner(deaf.ports, deaf.mine)).rejects.toThrow('away');
    expect(await dueInMs(deaf)).toBeGreaterThan(0);
  });

  test('of a runner that is away: the next one goes on after the lease, fenced and billed to the last word of the first', async () => {
    const { ports, runner, ref, assign, mine } = await setUp();
    ports.clock.advance(20_000);
    await runner.batch(assign, 4, [tickOf(20_000)]);
    await runnerDisconnected(ports, runner.who);
    ports.clock.advance(30_000);
    await revokeRunner(ports, mine);
    expect(await continueSession(ports, ref)).not.toBe('raised');
    ports.clock.advance(LEASE_MS);
    const other = await ownRunner(ports);
    expect(await continueSession(ports, ref)).toBe('raised');
    expect(other.assigned).toMatchObject([{ sessionId: ref.sessionId, epoch: 2 }]);
    const [closeOut] = ports.db.all('usage').filter(({ kind }) => kind === 'close_out');
    expect(closeOut).toMatchObject({ epoch: 1, agentMs: 20_000, source: 'reaper' });
    await expect(runner.batch(assign, 5, [tickOf(60_000)])).rejects.toMatchObject({ code: 'invalid_credential' });
    await expect(runner.again('back').hello()).rejects.toMatchObject({ code: 'invalid_credential' });
    expect(await ports.sessions.head(ref)).toMatchObject({ epoch: 2, open: true });
    expect((await ports.sessions.meta(ref))?.strikes).toBe(0);
  });

  test('of a runner that may serve does nothing by the stream', async () => {
    const { ports, ref, mine } = await setUp();
    await finishRevocation(ports, mine);
    expect((await ports.sessions.head(ref))?.open).toBe(true);
  });
});
