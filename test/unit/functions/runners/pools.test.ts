import { describe, expect, test } from 'vitest';
import { claimHost } from '../../../../functions/runners/claim-host.ts';
import { hostKey, listAssignments, listHosts, readHost } from '../../../../functions/runners/host-store.ts';
import { dispatchQueue } from '../../../../functions/runners/place-on-group.ts';
import { runnerDisconnected } from '../../../../functions/runners/runner-disconnected.ts';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { placeEpoch } from '../../../../functions/sessions/place-epoch.ts';
import { getSession, listSessions } from '../../../../functions/sessions/read-session.ts';
import { reap } from '../../../../functions/sessions/reap.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { startSession } from '../../../../functions/sessions/start-session.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import { QUEUE_WAIT_MAX_MS, RUNNER_LOST_MS, START_TIMEOUT_MS } from '../../../../shared/limits.ts';
import {
  controlPlanePorts,
  shellBody,
  startedSession,
  TENANT,
  type TestPorts,
  USER,
} from '../../../fakes/control-plane-ports.ts';
import { ownRunner, toState } from '../../../fakes/own-runners.ts';

const onLab = (ports: TestPorts) => startedSession(ports, { pool: 'lab' });
const view = (ports: TestPorts, ref: { tenantId: string; sessionId: string }) => getSession(ports, ref);
const starter = { tenantId: TENANT, userId: USER, idempotencyKey: undefined };
const start = (ports: TestPorts, over: Record<string, unknown>) => startSession(ports, starter, shellBody(over));
const typesOf = async (ports: TestPorts, ref: { tenantId: string; sessionId: string }) =>
  (await readEvents(ports.db, ref, 1, 100)).map(({ type }) => type);

describe('a start names a pool', () => {
  test('that is not there: refused with those there are', async () => {
    const ports = controlPlanePorts();
    await ownRunner(ports);
    await expect(start(ports, { pool: 'labb' })).rejects.toMatchObject({
      code: 'no_such_pool',
      path: 'pool',
      message: expect.stringContaining('hosted, lab'),
    });
  });

  test('of another tenant: the same refusal, which names none of its groups', async () => {
    const ports = controlPlanePorts();
    await ownRunner(ports);
    const foreign = startSession(ports, { ...starter, tenantId: 'other' }, shellBody({ pool: 'lab' }));
    await expect(foreign).rejects.toMatchObject({
      code: 'no_such_pool',
      message: expect.stringContaining('one of hosted,'),
    });
  });

  test('whose runners have not the CLI: refused with what they have; whoever has not come yet may bring it', async () => {
    const ports = controlPlanePorts();
    await ownRunner(ports, { clis: {} });
    await expect(start(ports, { pool: 'lab' })).rejects.toMatchObject({
      code: 'provider_unavailable',
      message: expect.stringContaining('no CLI'),
    });
    await ownRunner(ports, { clis: { claude_code: '2.1.330' } });
    await expect(start(ports, { pool: 'lab' })).rejects.toMatchObject({
      message: expect.stringContaining('claude_code@2.1.330'),
    });
    expect(ports.db.all('sessions')).toEqual([]);
  });

  test('of its own runners with a build of the platform: refused', async () => {
    const ports = controlPlanePorts();
    await ownRunner(ports);
    await expect(start(ports, { pool: 'lab', buildId: 'build-1' })).rejects.toMatchObject({ path: 'buildId' });
  });
});

describe('a place on a runner', () => {
  test('is claimed, named and assigned with a capability of that runner; its CLI and build are as it reports them', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    const ref = await onLab(ports);
    expect(await view(ports, ref)).toMatchObject({
      pool: 'lab',
      placement: { kind: 'group', runnerId: runner.runnerId, group: 'lab' },
      queuePosition: null,
      buildId: 'own-1',
      taskArn: null,
    });
    expect(ports.tasks.launched).toEqual([]);
    const [assign] = runner.assigned;
    expect(assign).toMatchObject({ sessionId: ref.sessionId, epoch: 1, config: { buildId: 'own-1' }, ranMs: 0 });
    expect(await ports.signer.verify('capability', assign?.capability ?? '')).toMatchObject({
      runnerId: runner.runnerId,
    });
    const { head, meta } = (await ports.sessions.record(ref)) ?? {};
    expect(head?.assignedAtMs).toBe(ports.clock.nowMs());
    expect(meta?.cliVersion).toBe('5.2');
    expect(await ports.runners.post(ref, { type: 'ping', ts: 1 })).toBe(true);
  });

  test('its usage is reported, that of the platform metered', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    await onLab(ports);
    const tick = {
      type: 'usage_tick',
      counters: { agentMs: 1, waitingMs: 0, frozenMs: 0, terminalBytes: 0, filesTouched: 0, commands: 0 },
      final: false,
      cliVersion: '5.2',
      runnerBuild: 'own-1',
      taskDefinition: '',
    } as const;
    if (runner.assigned[0] !== undefined) await runner.batch(runner.assigned[0], 1, [tick]);
    expect(ports.db.all('usage')).toMatchObject([
      { source: 'reported', buildId: 'own-1', runnerBuild: 'own-1', cliVersion: '5.2', taskDefinition: '' },
    ]);
  });

  test('goes to the least loaded first', async () => {
    const ports = controlPlanePorts();
    const [small, large] = [await ownRunner(ports, { maxSessions: 2 }), await ownRunner(ports, { maxSessions: 4 })];
    for (let count = 0; count < 6; count += 1) await onLab(ports);
    expect([small.assigned.length, large.assigned.length]).toEqual([2, 4]);
  });

  test.each([
    ['is silent', async (ports: TestPorts) => ports.clock.advance(RUNNER_LOST_MS)],
    [
      'drains',
      async (_ports: TestPorts, runner: Awaited<ReturnType<typeof ownRunner>>) =>
        void (await runner.status(0, { draining: true })),
    ],
    [
      'says less capacity than it holds',
      async (ports: TestPorts, runner: Awaited<ReturnType<typeof ownRunner>>) => {
        await onLab(ports);
        await runner.status(1, { capacity: 1 });
      },
    ],
  ])('is not to be had where the runner %s', async (_why, happens) => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    await happens(ports, runner);
    expect(await view(ports, await onLab(ports))).toMatchObject({ placement: null, queuePosition: 1 });
  });

  test('of a hundred parallel starts as many as there are places get one, and the others wait in order', async () => {
    const ports = controlPlanePorts();
    const runners = await Promise.all([3, 4, 5].map((maxSessions) => ownRunner(ports, { maxSessions })));
    const refs = await Promise.all(Array.from({ length: 100 }, () => onLab(ports)));
    const hosts = await listHosts(ports.db, TENANT, ports.clock.nowMs());
    for (const { live, capacity } of hosts) expect(live).toBe(capacity);
    expect(await listAssignments(ports.db, TENANT)).toHaveLength(12);
    expect(new Set(runners.flatMap(({ assigned }) => assigned.map(({ sessionId }) => sessionId))).size).toBe(12);
    const { sessions } = await listSessions(ports, TENANT, { limit: 200 });
    const waiting = sessions.filter(({ queuePosition }) => queuePosition !== null);
    expect(waiting.map(({ placement }) => placement)).toEqual(waiting.map(() => null));
    const inOrder = waiting.sort((a, b) => a.sessionId.localeCompare(b.sessionId));
    expect(inOrder.map(({ queuePosition }) => queuePosition)).toEqual(Array.from({ length: 88 }, (_, at) => at + 1));
    expect(refs).toHaveLength(100);
  });

  test('whose runner is gone when it is told: the place is given back and the next runner gets the session', async () => {
    const ports = controlPlanePorts();
    const gone = await ownRunner(ports, { maxSessions: 8 });
    ports.runnerSender.answers.set(gone.who.connectionId, 'gone');
    const ref = await onLab(ports);
    expect(await view(ports, ref)).toMatchObject({ placement: null, queuePosition: 1 });
    const host = await readHost(ports.db, { tenantId: TENANT, runnerId: gone.runnerId }, ports.clock.nowMs());
    expect(host).toMatchObject({ live: 0, connectionId: null });
    const other = await ownRunner(ports);
    expect(other.assigned).toMatchObject([{ sessionId: ref.sessionId }]);
    expect(await ports.runners.post(ref, { type: 'ping', ts: 1 })).toBe(true);
  });

  test('whose runner comes back on another connection in that moment keeps it, and is told there', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    const back = runner.again('back');
    const post = ports.runnerSender.post;
    ports.runnerSender.post = async (connectionId, frame) => {
      if (connectionId !== runner.who.connectionId) return post(connectionId, frame);
      await back.hello();
      return 'gone';
    };
    const ref = await onLab(ports);
    expect(back.assigned).toMatchObject([{ sessionId: ref.sessionId }]);
    expect(await view(ports, ref)).toMatchObject({ placement: { runnerId: runner.runnerId } });
  });

  test('whose runner is gone, as its disconnect says before the post does, is given back all the same', async () => {
    const ports = controlPlanePorts();
    const gone = await ownRunner(ports, { maxSessions: 8 });
    const post = ports.runnerSender.post;
    ports.runnerSender.post = async (connectionId, frame) => {
      if (connectionId !== gone.who.connectionId) return post(connectionId, frame);
      await runnerDisconnected(ports, gone.who);
      return 'gone';
    };
    const ref = await onLab(ports);
    expect(await view(ports, ref)).toMatchObject({ placement: null, queuePosition: 1 });
    const host = await readHost(ports.db, { tenantId: TENANT, runnerId: gone.runnerId }, ports.clock.nowMs());
    expect(host).toMatchObject({ live: 0, connectionId: null });
    expect((await ownRunner(ports)).assigned).toMatchObject([{ sessionId: ref.sessionId }]);
  });

  test.each([
    ['heard of it on its line in between', false, false],
    ['heard of it on its line, which has ended since,', false, true],
    ['was back in between, and went again,', true, true],
  ])('whose runner %s keeps the epoch: two never run it', async (_why, isBack, isAway) => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    const other = await ownRunner(ports, { maxSessions: 1 });
    const back = isBack ? runner.again('back') : runner;
    const post = ports.runnerSender.post;
    let posts = 0;
    ports.runnerSender.post = async (connectionId, frame) => {
      posts += 1;
      if (posts > 1) return post(connectionId, frame);
      await (isBack ? back.hello() : runner.status(0));
      if (isAway) await runnerDisconnected(ports, back.who);
      return 'gone';
    };
    const ref = await onLab(ports);
    expect(back.assigned).toMatchObject([{ sessionId: ref.sessionId }]);
    expect(other.assigned).toEqual([]);
    expect(await view(ports, ref)).toMatchObject({ placement: { runnerId: runner.runnerId } });
  });

  test('that is given back and taken by another runner at once leads there', async () => {
    const ports = controlPlanePorts();
    const first = await ownRunner(ports);
    await runnerDisconnected(ports, first.who);
    const ref = await onLab(ports);
    ports.runnerSender.answers.set('gone', 'gone');
    const { clear } = ports.runners;
    ports.runners.clear = async (session, connectionId) => {
      await ownRunner(ports);
      await clear(session, connectionId);
    };
    await first.again('gone').hello();
    expect(await view(ports, ref)).toMatchObject({ placement: { kind: 'group' } });
    expect(await ports.runners.post(ref, { type: 'ping', ts: 1 })).toBe(true);
  });

  test('is never given twice: placing again changes nothing, also at the same time', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports, { maxSessions: 8 });
    const ref = await onLab(ports);
    const meta = await ports.sessions.meta(ref);
    if (meta === null) throw new Error('no session');
    expect(await Promise.all([1, 2, 3].map(() => placeEpoch(ports, ref, meta)))).toEqual([
      'placed',
      'placed',
      'placed',
    ]);
    expect(await listAssignments(ports.db, TENANT, runner.runnerId)).toHaveLength(1);
  });

  test('is claimed for an epoch once, of whatever runners it is asked at the same time', async () => {
    const ports = controlPlanePorts();
    const [one, two] = [await ownRunner(ports), await ownRunner(ports)];
    await Promise.all([one.status(0, { draining: true }), two.status(0, { draining: true })]);
    const ref = await onLab(ports);
    const record = await ports.sessions.record(ref);
    if (record === null) throw new Error('no session');
    for (const { who } of [one, two])
      await ports.db.write({
        kind: 'update',
        table: 'runners',
        key: hostKey({ tenantId: TENANT, runnerId: who.kind === 'group' ? who.runnerId : '' }),
        set: { isDraining: false },
      });
    const hosts = await listHosts(ports.db, TENANT, ports.clock.nowMs());
    const claims = await Promise.all(hosts.map((host) => claimHost(ports, ref, record, host, null)));
    expect(claims.sort()).toEqual(['lost', 'placed']);
    const after = await listHosts(ports.db, TENANT, ports.clock.nowMs());
    expect(after.map(({ live }) => live).sort()).toEqual([0, 1]);
  });

  test('is given back also by a closing that was planned while it was claimed', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports, { maxSessions: 1 });
    await onLab(ports);
    const second = await onLab(ports);
    if (runner.assigned[0] !== undefined) await runner.batch(runner.assigned[0], 1, toState('completed'));
    const get = ports.db.get.bind(ports.db);
    let isClaimed = false;
    ports.db.get = async (table, key) => {
      if (key.sk === 'HEAD' && key.pk.endsWith(second.sessionId) && !isClaimed) {
        isClaimed = true;
        await dispatchQueue(ports, TENANT, 'lab');
      }
      return get(table, key);
    };
    const closing = { epoch: 1, asRead: null, cause: 'host_lost', reason: { code: 'x', message: 'x' } } as const;
    expect(await closeEpoch(ports, second, closing)).toBe(true);
    expect(runner.assigned).toHaveLength(2);
    const host = await get('runners', hostKey({ tenantId: TENANT, runnerId: runner.runnerId }));
    expect(host).toMatchObject({ live: 0 });
    expect(await listAssignments(ports.db, TENANT)).toEqual([]);
  });

  test('is given back once, whoever closes the epoch', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports, { maxSessions: 2 });
    const [first, second] = [await onLab(ports), await onLab(ports)];
    const host = () => ports.db.get('runners', hostKey({ tenantId: TENANT, runnerId: runner.runnerId }));
    const [assign] = runner.assigned;
    if (assign === undefined) throw new Error('not assigned');
    await runner.batch(assign, 1, toState('completed'));
    await runner.batch(assign, 1, toState('completed'));
    expect(await host()).toMatchObject({ live: 1 });
    const closing = { epoch: 1, asRead: null, cause: 'host_lost', reason: { code: 'x', message: 'x' } } as const;
    await Promise.all([1, 2].map(() => closeEpoch(ports, second, closing)));
    expect(await host()).toMatchObject({ live: 0 });
    expect(await listAssignments(ports.db, TENANT)).toEqual([]);
    expect((await ports.sessions.meta(first))?.state).toBe('completed');
  });
});

describe('the queue', () => {
  test('takes what finds no place, tells the position as it is now, and gives a freed place to the first', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports, { maxSessions: 1 });
    const [, second, third] = [await onLab(ports), await onLab(ports), await onLab(ports)];
    expect(await typesOf(ports, third)).toEqual(['session_created', 'session_queued']);
    expect(await view(ports, third)).toMatchObject({ queuePosition: 2, state: 'created' });
    if (runner.assigned[0] !== undefined) await runner.batch(runner.assigned[0], 1, toState('completed'));
    expect(await dispatchQueue(ports, TENANT, 'lab')).toBe(1);
    expect(runner.assigned.map(({ sessionId }) => sessionId).at(-1)).toBe(second.sessionId);
    expect(await view(ports, second)).toMatchObject({ queuePosition: null, placement: { kind: 'group' } });
    expect(await view(ports, third)).toMatchObject({ queuePosition: 1 });
  });

  test('is looked at when a runner registers, comes back or offers more', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports, { maxSessions: 3 });
    await runner.status(0, { capacity: 1 });
    for (let count = 0; count < 4; count += 1) await onLab(ports);
    expect(runner.assigned).toHaveLength(1);
    await runner.status(1, { capacity: 2 });
    expect(runner.assigned).toHaveLength(2);
    const back = runner.again('back');
    await back.hello();
    expect(new Set(back.assigned.map(({ sessionId }) => sessionId)).size).toBe(3);
    const other = await ownRunner(ports);
    expect(other.assigned).toHaveLength(1);
  });

  test('lets those pass whose CLI a free runner has', async () => {
    const ports = controlPlanePorts();
    await ownRunner(ports, { maxSessions: 1 });
    await onLab(ports);
    const shell = await onLab(ports);
    await ownRunner(ports, { clis: { claude_code: '2.1.330' } });
    expect(await view(ports, shell)).toMatchObject({ queuePosition: 1 });
    const claude = await start(ports, {
      pool: 'lab',
      provider: 'claude_code',
      model: 'scripted',
      scenario: { turns: [] },
    });
    expect(claude).toMatchObject({ placement: { kind: 'group' }, cliVersion: '2.1.330' });
  });

  test('is left at once by a session that is stopped, which ends', async () => {
    const ports = controlPlanePorts();
    await ownRunner(ports, { maxSessions: 1 });
    const [, second, third] = [await onLab(ports), await onLab(ports), await onLab(ports)];
    await setDesired(ports, second, 'stop', USER);
    expect(await view(ports, second)).toMatchObject({ state: 'completed', queuePosition: null });
    expect(await view(ports, third)).toMatchObject({ queuePosition: 1 });
    expect((await ports.db.get('tenants', { pk: `T#${TENANT}`, sk: 'SLOTS' }))?.live).toBe(2);
  });

  test('is no time-out of a start; the reaper asks again, and ends what waited for a day', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports, { maxSessions: 1 });
    const onError = () => expect.unreachable();
    const [first, second, third] = [await onLab(ports), await onLab(ports), await onLab(ports)];
    if (runner.assigned[0] !== undefined) await runner.batch(runner.assigned[0], 1, toState('completed'));
    for (let minute = 0; minute * 60_000 <= 2 * START_TIMEOUT_MS; minute += 1) {
      ports.clock.advance(60_000);
      await runner.status(minute === 0 ? 0 : 1);
      const running = runner.assigned.at(-1);
      if (minute > 0 && running !== undefined) await runner.batch(running, 1, []);
      await reap({ ...ports, onError });
    }
    expect((await ports.sessions.meta(first))?.state).toBe('completed');
    expect(await view(ports, second)).toMatchObject({ placement: { kind: 'group' } });
    expect(await view(ports, third)).toMatchObject({ state: 'created', queuePosition: 1 });
    ports.clock.advance(QUEUE_WAIT_MAX_MS);
    await reap({ ...ports, onError });
    expect(await view(ports, third)).toMatchObject({
      state: 'failed',
      reason: { code: 'no_runner' },
      queuePosition: null,
    });
  });

  test('ends a session that nobody took for a day with that reason, also where it had run before', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    const ref = await onLab(ports);
    await runnerDisconnected(ports, runner.who);
    const reason = { code: 'runner_lost', message: 'gone' };
    await closeEpoch(ports, ref, { epoch: 1, asRead: null, cause: 'host_lost', reason });
    const onError = () => expect.unreachable();
    await reap({ ...ports, onError });
    expect(await view(ports, ref)).toMatchObject({ epoch: 2, queuePosition: 1 });
    ports.clock.advance(QUEUE_WAIT_MAX_MS);
    await reap({ ...ports, onError });
    expect(await view(ports, ref)).toMatchObject({ state: 'failed', reason: { code: 'no_runner' } });
  });

  test('a claim and a stop at the same time: one of them wins, and no place is lost', async () => {
    for (const order of [0, 1]) {
      const ports = controlPlanePorts();
      const runner = await ownRunner(ports, { maxSessions: 1 });
      const [, second] = [await onLab(ports), await onLab(ports)];
      if (runner.assigned[0] !== undefined) await runner.batch(runner.assigned[0], 1, toState('completed'));
      const stop = () => setDesired(ports, second, 'stop', USER);
      const claim = () => dispatchQueue(ports, TENANT, 'lab');
      await Promise.all(order === 0 ? [stop(), claim()] : [claim(), stop()]);
      const { placement, state } = await view(ports, second);
      const host = await ports.db.get('runners', hostKey({ tenantId: TENANT, runnerId: runner.runnerId }));
      expect(host?.live).toBe(placement === null ? 0 : 1);
      expect(state).toBe(placement === null ? 'completed' : 'created');
    }
  });

  test('the slots of a tenant are the limit also here', async () => {
    const ports = controlPlanePorts();
    await ownRunner(ports, { maxSessions: 1 });
    await ports.db.write({ kind: 'put', table: 'tenants', item: { pk: `T#${TENANT}`, sk: 'SLOTS', live: 200 } });
    await expect(start(ports, { pool: 'lab' })).rejects.toMatchObject({ code: 'limit_reached' });
  });
});
