import { describe, expect, test } from 'vitest';
import { decideWarm } from '../../../../functions/runners/decide-warm.ts';
import { buildsToKeepWarm, fillWarmPool } from '../../../../functions/runners/fill-warm-pool.ts';
import { changeOf, runnersChanged } from '../../../../functions/runners/runner-changes.ts';
import { runnerDisconnected } from '../../../../functions/runners/runner-disconnected.ts';
import { listWarm, parseWarmOwner, type WarmRunner, warmKey } from '../../../../functions/runners/warm-store.ts';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { placeEpoch } from '../../../../functions/sessions/place-epoch.ts';
import type { SessionRef } from '../../../../functions/sessions/session-store.ts';
import { TaskStateChange, taskStateChanged } from '../../../../functions/sessions/task-stopped.ts';
import { RUNNER_LOST_MS, START_TIMEOUT_MS, WARM_END_GRACE_MS, WARM_RECYCLE_MS } from '../../../../shared/limits.ts';
import {
  addBuild,
  controlPlanePorts,
  startedSession,
  TENANT,
  type TestPorts,
} from '../../../fakes/control-plane-ports.ts';
import { dialled, runnersOf, ScriptedRunner, toState, warmRunners } from '../../../fakes/own-runners.ts';

const onError = (_what: string, error: unknown): never => {
  throw error;
};
/** One build, and a pool of `size` connected idle runners. */
const pool = async (size: number) => {
  const ports = { ...controlPlanePorts(), warmPoolSize: size };
  await addBuild(ports);
  const runners = await warmRunners(ports);
  return { ports, runners };
};
const fill = (ports: TestPorts & { warmPoolSize: number }) => fillWarmPool({ ...ports, onError });
const placementOf = async (ports: TestPorts, ref: SessionRef) => (await ports.sessions.meta(ref))?.placement;
const stopped = (ports: TestPorts, startedBy: string | undefined, taskArn: string) =>
  taskStateChanged(ports, TaskStateChange.parse({ detail: { taskArn, lastStatus: 'STOPPED', startedBy, version: 1 } }));

describe('a claim', () => {
  test('gives an idle runner its session on the connection it waits on, without a task', async () => {
    const { ports, runners } = await pool(1);
    const [runner] = runners;
    const launched = ports.tasks.launched.length;
    const ref = await startedSession(ports);
    expect(ports.tasks.launched).toHaveLength(launched);
    const [assign] = runner?.assigned ?? [];
    expect(assign).toMatchObject({ sessionId: ref.sessionId, epoch: 1 });
    const meta = await ports.sessions.meta(ref);
    expect(meta).toMatchObject({ placement: { kind: 'warm' }, taskArn: expect.stringContaining('task/') });
    expect((await ports.sessions.head(ref))?.assignedAtMs).toBe(ports.clock.nowMs());
    if (runner === undefined || assign === undefined) throw new Error('not assigned');
    expect(await runner.batch(assign, 1, toState('completed'))).toMatchObject({ type: 'ack' });
    expect(await listWarm(ports.db)).toMatchObject([{ state: 'ending', claimedFor: null }]);
    expect(await runnersOf(ports)).toMatchObject([{ kind: 'warm', sessionId: ref.sessionId }]);
  });

  test('of many parallel starts gives each runner once; the others get tasks', async () => {
    const { ports, runners } = await pool(5);
    const before = ports.tasks.launched.length;
    const refs = await Promise.all(Array.from({ length: 20 }, () => startedSession(ports)));
    const kinds = await Promise.all(refs.map(async (ref) => (await placementOf(ports, ref))?.kind));
    expect(kinds.filter((kind) => kind === 'warm').length).toBe(5);
    expect(ports.tasks.launched.length - before).toBe(15);
    expect(runners.map(({ assigned }) => assigned.length)).toEqual([1, 1, 1, 1, 1]);
  });

  test('of a runner that is gone falls back to the next, and then to a task, in the same call', async () => {
    const { ports, runners } = await pool(2);
    for (const { who } of runners) ports.runnerSender.answers.set(who.connectionId, 'gone');
    const ref = await startedSession(ports);
    expect(await ports.sessions.meta(ref)).toMatchObject({ placement: { kind: 'task' }, state: 'created' });
    expect(ports.tasks.launched.at(-1)?.startedBy).toBe(`${TENANT}/${ref.sessionId}/1`);
    expect((await listWarm(ports.db)).map(({ state }) => state)).toEqual(['ending', 'ending']);
    const [gone] = runners;
    expect((await gone?.again('back').hello())?.desired).toBe('drain');
  });

  test('of a runner whose disconnect comes before the post says gone falls back to a task, too', async () => {
    const { ports, runners } = await pool(1);
    const [runner] = runners;
    if (runner === undefined) throw new Error('no runner');
    const post = ports.runnerSender.post;
    ports.runnerSender.post = async (connectionId, frame) => {
      if (connectionId !== runner.who.connectionId) return post(connectionId, frame);
      await runnerDisconnected(ports, runner.who);
      return 'gone';
    };
    expect(await placementOf(ports, await startedSession(ports))).toMatchObject({ kind: 'task' });
    expect((await listWarm(ports.db)).map(({ state }) => state)).toEqual(['ending']);
  });

  test('of a runner that comes back in that moment stays: it is told there, and no task is started', async () => {
    const { ports, runners } = await pool(1);
    const [runner] = runners;
    const back = runner?.again('back');
    const post = ports.runnerSender.post;
    ports.runnerSender.post = async (connectionId, frame) => {
      if (connectionId !== runner?.who.connectionId) return post(connectionId, frame);
      await back?.hello();
      return 'gone';
    };
    const launched = ports.tasks.launched.length;
    const ref = await startedSession(ports);
    expect(back?.assigned).toMatchObject([{ sessionId: ref.sessionId }]);
    expect(await placementOf(ports, ref)).toMatchObject({ kind: 'warm' });
    expect(ports.tasks.launched).toHaveLength(launched);
  });

  test('that may have arrived stays, and is told again by the heartbeat', async () => {
    const { ports, runners } = await pool(1);
    const [runner] = runners;
    if (runner === undefined) throw new Error('no runner');
    ports.runnerSender.answers.set(runner.who.connectionId, 'slow');
    const ref = await startedSession(ports);
    ports.runnerSender.answers.clear();
    expect(runner.assigned).toEqual([]);
    await runner.status(0, { capacity: 1 });
    expect(runner.assigned).toMatchObject([{ sessionId: ref.sessionId }]);
    const meta = await ports.sessions.meta(ref);
    if (meta === null) throw new Error('no session');
    expect(await placeEpoch(ports, ref, meta)).toBe('placed');
    expect(ports.tasks.launched).toHaveLength(1);
  });

  test('belongs to that session only: nothing of another is heard from it', async () => {
    const { ports, runners } = await pool(2);
    const [first, second] = [await startedSession(ports), await startedSession(ports)];
    const [one, two] = runners;
    const theirs = two?.assigned[0];
    if (one === undefined || theirs === undefined) throw new Error('not assigned');
    await expect(one.batch(theirs, 1, toState('running'))).rejects.toMatchObject({ code: 'forbidden' });
    expect(first.sessionId).not.toBe(second.sessionId);
  });

  test('is of the build that was asked for', async () => {
    const { ports } = await pool(1);
    ports.clock.advance(1);
    await addBuild(ports, 'build-2');
    const ref = await startedSession(ports);
    expect(await ports.sessions.meta(ref)).toMatchObject({
      config: { buildId: 'build-2' },
      placement: { kind: 'task' },
    });
  });
});

describe('a runner of the pool', () => {
  test('that disconnects is not claimed until it is back', async () => {
    const { ports, runners } = await pool(1);
    const [runner] = runners;
    if (runner === undefined) throw new Error('no runner');
    await runnerDisconnected(ports, runner.who);
    expect(await placementOf(ports, await startedSession(ports))).toMatchObject({ kind: 'task' });
    await runner.again('back').hello();
    expect(await placementOf(ports, await startedSession(ports))).toMatchObject({ kind: 'warm' });
  });

  test('that is faster than the answer of ECS becomes idle with it', async () => {
    const { ports } = await pool(0);
    const launch = ports.tasks.launch;
    const early: { hello(): Promise<unknown> }[] = [];
    ports.tasks.launch = async (request) => {
      const launched = await launch(request);
      ports.tasks.launch = launch;
      const who = await dialled(ports, request.environment.CONTROL_PLANE_TOKEN ?? '', 'early');
      const runner = new ScriptedRunner(ports, who);
      await runner.hello();
      early.push(runner);
      return launched;
    };
    await fill({ ...ports, warmPoolSize: 1 });
    expect(early).toHaveLength(1);
    expect(await placementOf(ports, await startedSession({ ...ports, warmPoolSize: 1 }))).toMatchObject({
      kind: 'warm',
    });
  });

  test('that stops idle is forgotten; claimed, its end is that of the epoch', async () => {
    const { ports } = await pool(2);
    const startedBy = ports.tasks.launched.map((request) => request.startedBy);
    const ref = await startedSession(ports);
    const rows = await listWarm(ports.db);
    for (const row of rows) {
      const by = startedBy.find((owner) => parseWarmOwner(owner) === row.runnerId);
      expect(await stopped(ports, by, row.taskArn ?? '')).toBe(row.state === 'claimed' ? 'closed' : 'ignored');
    }
    expect((await listWarm(ports.db)).map(({ state }) => state)).toEqual(['ending']);
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true });
    for (const row of rows) await stopped(ports, `warm/${row.runnerId}`, row.taskArn ?? '');
    expect(await listWarm(ports.db)).toEqual([]);
  });

  test('whose session is over is gone within three minutes where it does not leave, the 30 s of its stop included', async () => {
    const { ports, runners } = await pool(1);
    await startedSession(ports);
    const [assign] = runners[0]?.assigned ?? [];
    if (assign === undefined) throw new Error('not assigned');
    ports.clock.advance(1_000);
    await runners[0]?.batch(assign, 1, toState('completed'));
    for (let run = 0; run < 2; run += 1) {
      expect(ports.tasks.stopped).toEqual([]);
      ports.clock.advance(59_900);
      await fill({ ...ports, warmPoolSize: 0 });
    }
    expect(ports.tasks.stopped).toHaveLength(1);
  });

  test('that was forgotten before its session is closed leaves nothing that stops the pool', async () => {
    const { ports } = await pool(1);
    const ref = await startedSession(ports);
    const [row] = await listWarm(ports.db);
    if (row === undefined) throw new Error('no row');
    await ports.db.write({ kind: 'delete', table: 'runners', key: warmKey(row.runnerId) });
    await closeEpoch(ports, ref, {
      epoch: 1,
      asRead: null,
      cause: 'host_lost',
      reason: { code: 'x', message: 'gone' },
    });
    expect(await listWarm(ports.db)).toEqual([]);
    expect(await stopped(ports, `warm/${row.runnerId}`, row.taskArn ?? '')).toBe('ignored');
    expect(await fill(ports)).toMatchObject({ launched: 1, failed: 0 });
  });

  test.each([['acme/ses_00000000000000000000000001/1'], ['warm/x'], ['warm/warm-1-x/2'], [undefined], ['other']])(
    'is not what was started by %s',
    (startedBy) => {
      expect(parseWarmOwner(startedBy)).toBeNull();
    },
  );
});

describe('what becomes of each', () => {
  const row = (over: Partial<WarmRunner>): WarmRunner => ({
    runnerId: 'warm-1-00000000000000000000000001',
    buildId: 'b',
    taskDefinition: 'td',
    taskArn: 'arn',
    state: 'idle',
    connectionId: 'c',
    dial: 1,
    runnerVersion: '1',
    launchedAtMs: 0,
    lastSeenMs: 1_000_000,
    endingAtMs: null,
    claimedFor: null,
    ...over,
  });
  const at = 1_000_000;
  test.each([
    [{}, false, at, 'keep'],
    [{}, true, at, 'drain'],
    [{ lastSeenMs: WARM_RECYCLE_MS }, false, WARM_RECYCLE_MS, 'drain'],
    [{}, false, at + RUNNER_LOST_MS, 'ask'],
    [{ state: 'launching', launchedAtMs: at }, false, at, 'keep'],
    [{ state: 'launching', launchedAtMs: at, taskArn: null }, false, at, 'launch_again'],
    [{ state: 'launching' }, false, START_TIMEOUT_MS, 'stop'],
    [{ state: 'claimed' }, true, WARM_RECYCLE_MS * 9, 'keep'],
    [{ state: 'ending' }, false, at, 'note_ending'],
    [{ state: 'ending', endingAtMs: at }, false, at + WARM_END_GRACE_MS - 1, 'keep'],
    [{ state: 'ending', endingAtMs: at }, false, at + WARM_END_GRACE_MS, 'stop'],
  ] as const)('%j surplus %s at %i: %s', (over, isSurplus, nowMs, action) => {
    expect(decideWarm(row(over), isSurplus, nowMs)).toEqual({ action });
  });
});

describe('filling', () => {
  test('launches what each build lacks, for the builds that a start gets', async () => {
    const ports = { ...controlPlanePorts(), warmPoolSize: 2 };
    await addBuild(ports, 'old');
    ports.clock.advance(1);
    await addBuild(ports, 'new');
    expect(buildsToKeepWarm(await ports.builds.list()).map(({ buildId }) => buildId)).toEqual(['new']);
    expect(await fill(ports)).toEqual({ launched: 2, drained: 0, stopped: 0, failed: 0 });
    expect(await fill(ports)).toEqual({ launched: 0, drained: 0, stopped: 0, failed: 0 });
    const [request] = ports.tasks.launched;
    expect(request?.startedBy).toMatch(/^warm\/warm-\d-/);
    expect(Object.keys(request?.environment ?? {})).toEqual(['CONTROL_PLANE_URL', 'CONTROL_PLANE_TOKEN']);
    expect(request?.environment.CONTROL_PLANE_TOKEN).toMatch(/^rw\.warm-\d-/);
  });

  test('by several runs at once launches no more than one would', async () => {
    const ports = { ...controlPlanePorts(), warmPoolSize: 4 };
    await addBuild(ports);
    await Promise.all([1, 2, 3].map(() => fill(ports)));
    expect(await listWarm(ports.db)).toHaveLength(4);
    expect(ports.tasks.launched).toHaveLength(4);
  });

  test('replaces a claimed runner as soon as its idle row is gone', async () => {
    const { ports } = await pool(1);
    await startedSession(ports);
    expect(changeOf({ pk: 'IDLE#3#build-1', sk: 'IDLE#warm-3-x' })).toEqual({ kind: 'idle_gone' });
    await runnersChanged({ ...ports, onError }, [{ pk: 'IDLE#3#build-1', sk: 'IDLE#warm-3-x' }]);
    expect((await listWarm(ports.db)).map(({ state }) => state).sort()).toEqual(['claimed', 'launching']);
  });

  test('recycles before two hours: asked to end, stopped where it does not, replaced at once', async () => {
    const { ports, runners } = await pool(1);
    ports.clock.advance(WARM_RECYCLE_MS);
    expect(await fill(ports)).toMatchObject({ drained: 1, launched: 1 });
    expect(runners[0]?.posted('runner_desired')).toEqual([{ type: 'runner_desired', desired: 'drain' }]);
    expect(await placementOf(ports, await startedSession(ports))).toMatchObject({ kind: 'task' });
    ports.clock.advance(WARM_END_GRACE_MS);
    expect(await fill(ports)).toMatchObject({ stopped: 1 });
    expect(ports.tasks.stopped).toHaveLength(1);
  });

  test('gives back what is too much', async () => {
    const { ports } = await pool(3);
    expect(await fill({ ...ports, warmPoolSize: 1 })).toMatchObject({ drained: 2, launched: 0 });
    expect(await fill({ ...ports, warmPoolSize: 0 })).toMatchObject({ drained: 1, launched: 0 });
  });

  test('forgets what ECS says has stopped without its event', async () => {
    const { ports } = await pool(1);
    ports.clock.advance(RUNNER_LOST_MS);
    ports.tasks.nextStatus = { kind: 'stopped', why: 'gone', exitCode: 1 };
    expect(await fill(ports)).toMatchObject({ stopped: 1 });
    ports.tasks.nextStatus = { kind: 'live' };
    expect(await fill(ports)).toMatchObject({ launched: 1 });
  });

  test('never loses a task whose launch was not answered: the same request names it, and it is stopped', async () => {
    const ports = { ...controlPlanePorts(), warmPoolSize: 1 };
    await addBuild(ports);
    const launch = ports.tasks.launch;
    ports.tasks.launch = async (request) => {
      await launch(request);
      throw new Error('time-out');
    };
    const errors: unknown[] = [];
    const run = () => fillWarmPool({ ...ports, onError: (_runner, error) => errors.push(error) });
    expect(await run()).toMatchObject({ failed: 1, launched: 0 });
    ports.tasks.launch = launch;
    ports.clock.advance(START_TIMEOUT_MS);
    await run();
    await run();
    const tokens = ports.tasks.launched.map(({ clientToken }) => clientToken);
    expect(tokens[1]).toBe(tokens[0]);
    expect(ports.tasks.stopped).toEqual([`task/${tokens[0]}`]);
  });

  test('a refusal is reported once a run, leaves nothing behind and does not keep other builds', async () => {
    const ports = { ...controlPlanePorts(), warmPoolSize: 3 };
    await addBuild(ports);
    ports.tasks.nextLaunch = { kind: 'refused', reason: 'no capacity', isPermanent: false };
    const errors: unknown[] = [];
    expect(await fillWarmPool({ ...ports, onError: (_runner, error) => errors.push(error) })).toMatchObject({
      failed: 1,
    });
    expect(errors).toHaveLength(1);
    expect(await listWarm(ports.db)).toEqual([]);
  });
});
