import { ulid } from 'ulid';
import { describe, expect, test } from 'vitest';
import { formatWarmOwner, listWarm, warmKey, warmRunnerId } from '../../../../functions/runners/warm-store.ts';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { continueSession } from '../../../../functions/sessions/continue-session.ts';
import type { RunningTask } from '../../../../functions/sessions/ports.ts';
import { decideTask, reconcile } from '../../../../functions/sessions/reconcile.ts';
import type { SessionRecord, SessionRef } from '../../../../functions/sessions/session-store.ts';
import {
  ORPHAN_GRACE_MS,
  RECONCILE_PAGE_TASKS,
  RECONCILE_PAGES_MAX,
  WARM_END_GRACE_MS,
  WARM_START_GRACE_MS,
} from '../../../../shared/limits.ts';
import {
  addBuild,
  controlPlanePorts,
  seededRandom,
  startedSession,
  TENANT,
} from '../../../fakes/control-plane-ports.ts';
import { warmRunners } from '../../../fakes/own-runners.ts';

const onError = () => expect.unreachable();
const lost = { asRead: null, cause: 'host_lost', reason: { code: 'runner_lost', message: 'gone' } } as const;
const taskOf = (ref: SessionRef, epoch = 1, taskArn = `task/${ref.sessionId}#${epoch}`): RunningTask => ({
  taskArn,
  startedBy: `${ref.tenantId}/${ref.sessionId}/${epoch}`,
});

describe('whether a session needs a task', () => {
  const owner = { tenantId: TENANT, sessionId: 'ses_00000000000000000000000001', epoch: 2 };
  const task = taskOf(owner, 2, 'mine');
  const stands = (epoch: number, open: boolean, placement: unknown = { kind: 'task', taskArn: 'mine' }) =>
    ({ head: { epoch, open }, meta: { placement, taskArn: null } }) as unknown as SessionRecord;
  test.each([
    ['no such session', null, 'stop'],
    ['its own', stands(2, true), 'keep'],
    ['its placement is not written yet', stands(2, true, null), 'keep'],
    ['another task has the epoch', stands(2, true, { kind: 'task', taskArn: 'other' }), 'stop'],
    ['a warm one has the epoch', stands(2, true, { kind: 'warm', runnerId: 'w', taskArn: 'other' }), 'stop'],
    ['it is the warm one', stands(2, true, { kind: 'warm', runnerId: 'w', taskArn: 'mine' }), 'keep'],
    ['a customer-hosted runner has the epoch', stands(2, true, { kind: 'group', runnerId: 'r', group: 'g' }), 'stop'],
    ['its epoch was closed', stands(2, false), 'ask_epoch'],
    ['a later epoch runs', stands(3, true), 'ask_epoch'],
    ['an epoch that was read too early', stands(1, true), 'keep'],
  ] as const)('%s', (_name, record, decision) => {
    expect(decideTask(task, owner, record)).toBe(decision);
  });
});

describe('reconciling', () => {
  test('stops what no session needs, and nothing else', async () => {
    const ports = controlPlanePorts();
    const [live, over, next] = [await startedSession(ports), await startedSession(ports), await startedSession(ports)];
    for (const ref of [over, next]) await closeEpoch(ports, ref, { epoch: 1, ...lost });
    await continueSession(ports, next);
    const never = { tenantId: TENANT, sessionId: 'ses_00000000000000000000000099' };
    ports.clock.advance(ORPHAN_GRACE_MS);
    ports.tasks.running = [
      taskOf(live),
      taskOf(live, 1, 'a second one'),
      taskOf(over),
      taskOf(next, 1),
      taskOf(next, 2),
      taskOf(never),
      { taskArn: 'of somebody else', startedBy: 'warm/x' },
      { taskArn: 'of nobody', startedBy: undefined },
    ];
    expect(await reconcile({ ...ports, onError })).toEqual({ checked: 8, stopped: 4, failed: 0, complete: true });
    expect(ports.tasks.stopped.sort()).toEqual(
      ['a second one', taskOf(over).taskArn, taskOf(next, 1).taskArn, taskOf(never).taskArn].sort(),
    );
  });

  test('lets a runner leave by itself for a moment', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    ports.tasks.running = [taskOf(ref)];
    await closeEpoch(ports, ref, { epoch: 1, ...lost });
    ports.clock.advance(ORPHAN_GRACE_MS - 1);
    expect(await reconcile({ ...ports, onError })).toMatchObject({ stopped: 0 });
    ports.clock.advance(1);
    expect(await reconcile({ ...ports, onError })).toMatchObject({ stopped: 1 });
  });

  test('one task that cannot be stopped does not keep the others', async () => {
    const ports = controlPlanePorts();
    const refs = [await startedSession(ports), await startedSession(ports)];
    for (const ref of refs) await closeEpoch(ports, ref, { epoch: 1, ...lost });
    ports.clock.advance(ORPHAN_GRACE_MS);
    ports.tasks.running = refs.map((ref) => taskOf(ref));
    const { stop } = ports.tasks;
    let calls = 0;
    ports.tasks.stop = async (arn) => (++calls === 1 ? Promise.reject(new Error('ECS is away')) : stop(arn));
    const failed: string[] = [];
    expect(await reconcile({ ...ports, onError: (arn) => void failed.push(arn) })).toMatchObject({
      checked: 2,
      stopped: 1,
      failed: 1,
    });
    expect(failed).toHaveLength(1);
  });

  test('more tasks than it may look at are no success', async () => {
    const ports = controlPlanePorts();
    const listRunning = async () => ({ tasks: [], cursor: 'more' });
    let pages = 0;
    const counted = async () => {
      pages += 1;
      return listRunning();
    };
    const tasks = { stop: ports.tasks.stop, listRunning: counted };
    expect(await reconcile({ ...ports, tasks, onError })).toMatchObject({ complete: false });
    expect(pages).toBe(RECONCILE_PAGES_MAX);
  });
});

describe('a task of the warm pool', () => {
  const setUp = async () => {
    const ports = { ...controlPlanePorts(), warmPoolSize: 1 };
    await addBuild(ports);
    const [runner] = await warmRunners(ports);
    const [row] = await listWarm(ports.db);
    if (runner === undefined || row?.taskArn == null) throw new Error('no idle runner');
    const task: RunningTask = { taskArn: row.taskArn, startedBy: formatWarmOwner(row.runnerId) };
    ports.tasks.running = [task];
    const run = () => reconcile({ ...ports, onError });
    return { ports, runner, row, task, run };
  };

  test('is left to the pool as long as its row stands: idle, claimed, ending', async () => {
    const { ports, runner, run } = await setUp();
    ports.clock.advance(WARM_START_GRACE_MS);
    expect(await run()).toMatchObject({ checked: 1, stopped: 0 });
    const ref = await startedSession(ports);
    expect(runner.assigned).toHaveLength(1);
    expect(await run()).toMatchObject({ stopped: 0 });
    await closeEpoch(ports, ref, { epoch: 1, ...lost });
    expect(await run()).toMatchObject({ stopped: 0 });
  });

  test('whose row is gone is stopped, also where a late closing left a mark without a runner', async () => {
    const { ports, row, task, run } = await setUp();
    const ref = await startedSession(ports);
    await ports.db.write({ kind: 'delete', table: 'runners', key: warmKey(row.runnerId) });
    await closeEpoch(ports, ref, { epoch: 1, ...lost });
    const mark = await ports.db.get('runners', warmKey(row.runnerId));
    expect(Number(mark?.expiresAtSec) * 1_000).toBeGreaterThan(ports.clock.nowMs());
    expect(await run()).toEqual({ checked: 1, stopped: 1, failed: 0, complete: true });
    expect(ports.tasks.stopped).toEqual([task.taskArn]);
  });

  test('that was asked for a moment ago is none, whatever a read of its row says', async () => {
    const { ports, row, run } = await setUp();
    const runnerId = warmRunnerId(ulid(ports.clock.nowMs()), 3);
    ports.tasks.running = [{ taskArn: 'starting', startedBy: formatWarmOwner(runnerId) }];
    ports.clock.advance(WARM_START_GRACE_MS - 1);
    expect(await run()).toMatchObject({ stopped: 0 });
    ports.clock.advance(1);
    expect(await run()).toMatchObject({ stopped: 1 });
    expect(row.runnerId).not.toBe(runnerId);
  });

  test('that another task has taken the place of is stopped', async () => {
    const { ports, task, run } = await setUp();
    ports.tasks.running = [task, { ...task, taskArn: 'a second one' }];
    expect(await run()).toMatchObject({ checked: 2, stopped: 1 });
    expect(ports.tasks.stopped).toEqual(['a second one']);
  });

  test('that nobody named yet is kept: the pool asks for it again', async () => {
    const { ports, row, task, run } = await setUp();
    await ports.db.write({
      kind: 'update',
      table: 'runners',
      key: warmKey(row.runnerId),
      set: { taskArn: null, state: 'launching' },
    });
    expect(await run()).toMatchObject({ stopped: 0 });
    expect(task.startedBy).toBe(`warm/${row.runnerId}`);
  });

  test('without its row is gone within 180 s: the grace, the schedule, and the time it may take to stop', () => {
    const [EVERY_MS, RUN_MS, STOP_TIMEOUT_MS] = [60_000, 25_000, 30_000];
    expect(WARM_START_GRACE_MS + EVERY_MS + RUN_MS + STOP_TIMEOUT_MS).toBeLessThanOrEqual(180_000);
    expect(WARM_END_GRACE_MS + EVERY_MS + STOP_TIMEOUT_MS).toBeLessThanOrEqual(180_000);
  });
});

/**
 * A full cell of 5,000 tasks, a call of ECS at a quarter of a second and the reads of a group at 40 ms, each group after the other; orphans arise at any moment of
 * the schedule and anywhere in the list. From the closing to SIGKILL, if the task does not leave at SIGTERM.
 */
test('an orphan is gone within 180 s at p99, wherever in the schedule and the list it arises', async () => {
  const [EVERY_MS, ECS_CALL_MS, READS_MS, STOP_TIMEOUT_MS] = [60_000, 250, 40, 30_000];
  const TASKS = 5_000;
  const ports = controlPlanePorts();
  const base = await startedSession(ports);
  await closeEpoch(ports, base, { epoch: 1, ...lost });
  const random = seededRandom(7);
  const idOf = (index: number) => `ses_${String(1_000 + index).padStart(26, '0')}`;
  const startMs = ports.clock.nowMs();
  const orphans = new Map<string, number>();
  for (let orphan = 0; orphan < 400; orphan += 1) {
    const index = Math.floor(random.next() * TASKS);
    orphans.set(idOf(index), startMs + Math.floor(random.next() * 10 * EVERY_MS));
  }
  const record = await ports.sessions.record(base);
  if (record === null) throw new Error('no session');
  const isClosed = (ref: SessionRef) => (orphans.get(ref.sessionId) ?? Number.POSITIVE_INFINITY) <= ports.clock.nowMs();
  const gone = new Map<string, number>();
  let reads = 0;
  let stoppedAtRead = -1;
  const sessions = {
    ...ports.sessions,
    record: async (ref: SessionRef) => {
      reads += 1;
      if (reads % 25 === 0) ports.clock.advance(READS_MS);
      const placement = { kind: 'task', taskArn: ref.sessionId } as const;
      return { head: { ...record.head, epoch: 1, open: !isClosed(ref) }, meta: { ...record.meta, placement } };
    },
    epoch: async (ref: SessionRef) => ({ epoch: 1, openedAtMs: 0, closedAtMs: orphans.get(ref.sessionId) }),
  };
  const tasks = {
    listRunning: async (cursor: string | null) => {
      ports.clock.advance(2 * ECS_CALL_MS);
      const from = Number(cursor ?? 0);
      const page = Array.from({ length: RECONCILE_PAGE_TASKS }, (_, index) => idOf(from + index))
        .filter((sessionId) => !gone.has(sessionId))
        .map((sessionId) => taskOf({ tenantId: TENANT, sessionId }, 1, sessionId));
      const to = from + RECONCILE_PAGE_TASKS;
      return { tasks: page, cursor: to < TASKS ? String(to) : null };
    },
    stop: async (sessionId: string) => {
      if (reads !== stoppedAtRead) ports.clock.advance(ECS_CALL_MS);
      stoppedAtRead = reads;
      gone.set(sessionId, ports.clock.nowMs() + STOP_TIMEOUT_MS);
    },
  };
  let longestRunMs = 0;
  for (let run = 0; run < 14; run += 1) {
    const dueMs = startMs + run * EVERY_MS;
    ports.clock.advance(Math.max(0, dueMs - ports.clock.nowMs()));
    const beganMs = ports.clock.nowMs();
    expect(await reconcile({ db: ports.db, clock: ports.clock, sessions, tasks, onError })).toMatchObject({
      failed: 0,
    });
    longestRunMs = Math.max(longestRunMs, ports.clock.nowMs() - beganMs);
  }
  const tookMs = [...orphans]
    .map(([sessionId, closedMs]) => (gone.get(sessionId) ?? Number.POSITIVE_INFINITY) - closedMs)
    .sort((a, b) => a - b);
  const p99Ms = tookMs[Math.floor(tookMs.length * 0.99)] ?? Number.POSITIVE_INFINITY;
  expect(longestRunMs).toBeLessThan(60_000);
  expect(p99Ms).toBeLessThan(180_000);
  expect(tookMs.at(-1)).toBeLessThan(180_000);
});
