import { describe, expect, test } from 'vitest';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { continueSession } from '../../../../functions/sessions/continue-session.ts';
import { continueSuspended } from '../../../../functions/sessions/continue-suspended.ts';
import { reap } from '../../../../functions/sessions/reap.ts';
import { sendInput } from '../../../../functions/sessions/send-input.ts';
import { headKey, metaKey, type SessionRef, viewOf } from '../../../../functions/sessions/session-store.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { TaskStateChange, taskStateChanged } from '../../../../functions/sessions/task-stopped.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import {
  CONTINUE_BACKOFF_FIRST_MS,
  EPOCH_STRIKES_MAX,
  PARKED_MAX_MS,
  PLACE_RETRY_MS,
  REAPER_RUN_MS,
  START_TIMEOUT_MS,
} from '../../../../shared/limits.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import {
  batchOf,
  controlPlanePorts,
  startedSession,
  TENANT,
  type TestPorts,
  USER,
} from '../../../fakes/control-plane-ports.ts';

const LADDER = ['created', 'preparing_workspace', 'starting_provider', 'running'] as const;
const toRunning: EventDraft[] = LADDER.slice(1).map((toState, index) => ({
  type: 'session_state_changed',
  fromState: LADDER[index] ?? 'created',
  toState,
  reason: null,
}));
const change = (fromState: string, toState: string): EventDraft =>
  ({ type: 'session_state_changed', fromState, toState, reason: null }) as EventDraft;
const tick = (agentMs: number, final = false): EventDraft => ({
  type: 'usage_tick',
  counters: { ...ZERO_USAGE, agentMs, commands: 1 },
  final,
  cliVersion: '5.2',
  runnerBuild: 'r1',
  taskDefinition: 'td:1',
});
const turn: EventDraft = { type: 'turn_finished', turn: 1, tookMs: 5 };
const drained: EventDraft = { type: 'epoch_drained', why: 'SIGTERM', checkpointKey: null };
const parked: EventDraft = { type: 'session_parked', checkpointKey: 'none' };
const lost = { asRead: null, cause: 'runner_lost', reason: { code: 'runner_lost', message: 'gone' } } as const;
const MINUTE = 60_000;
const onError = () => expect.unreachable();

const assigned = (ports: TestPorts, ref: SessionRef) =>
  ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: { assignedAtMs: ports.clock.nowMs() },
  });

/** Assigned and running for a minute. */
const runningSession = async (more: readonly EventDraft[] = []) => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  await assigned(ports, ref);
  ports.clock.advance(MINUTE);
  await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, ...more]));
  return { ports, ref, next: 4 + more.length };
};

const slots = (ports: TestPorts) => ports.db.all('tenants').find((item) => item.sk === 'SLOTS')?.live;
const typesOf = async (ports: TestPorts, ref: SessionRef) =>
  (await readEvents(ports.db, ref, 0, 1_000)).map(({ epoch, type }) => `${epoch} ${type}`);
const metas = (ports: TestPorts) => ports.db.all('sessions').filter((item) => item.sk === 'META');

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

describe('strikes', () => {
  const lose = async (ports: TestPorts, ref: SessionRef, epoch: number) => {
    await closeEpoch(ports, ref, { epoch, ...lost });
    ports.clock.advance(MINUTE);
    return continueSession(ports, ref);
  };

  test('a session that gets nowhere three times has failed, and an alert says so', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    for (let epoch = 1; epoch < EPOCH_STRIKES_MAX; epoch += 1) expect(await lose(ports, ref, epoch)).toBe('raised');
    expect(await lose(ports, ref, EPOCH_STRIKES_MAX)).toBe('nothing');
    const meta = await ports.sessions.meta(ref);
    expect(meta).toMatchObject({ state: 'failed', reason: { code: 'poison_start' }, epoch: EPOCH_STRIKES_MAX });
    expect(meta?.reason?.message).toContain('gone');
    expect((await typesOf(ports, ref)).slice(-4)).toEqual([
      '3 runner_lost',
      '3 alert_raised',
      '3 session_state_changed',
      '3 session_ended',
    ]);
    expect(slots(ports)).toBe(0);
    expect(ports.db.all('usage').map(({ epoch, kind }) => [epoch, kind])).toEqual([
      [1, 'close_out'],
      [2, 'close_out'],
      [3, 'close_out'],
    ]);
  });

  test('a turn between them begins the count anew', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    for (const epoch of [1, 2]) await lose(ports, ref, epoch);
    expect((await ports.sessions.meta(ref))?.strikes).toBe(2);
    await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, turn], 3));
    for (const epoch of [3, 4, 5]) expect(await lose(ports, ref, epoch)).toBe('raised');
  });

  test('a strike backs off: the stream does nothing, the reaper goes on when it is time', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    await closeEpoch(ports, ref, { epoch: 1, ...lost });
    expect(await continueSuspended({ ...ports, onError }, metas(ports))).toEqual({ continued: 0, failed: 0 });
    ports.clock.advance(CONTINUE_BACKOFF_FIRST_MS - 1);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 0 });
    ports.clock.advance(1);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, continued: 1 });
    expect((await ports.sessions.head(ref))?.epoch).toBe(2);
  });
});

describe('a launch of the next epoch', () => {
  test('that is refused for now is no failure: the reaper asks again, ever more rarely', async () => {
    const { ports, ref, next } = await runningSession();
    await ingestBatch(ports, ref, batchOf(ref, next, [turn, drained]));
    ports.tasks.nextLaunch = { kind: 'refused', reason: 'RESOURCE:CPU', isPermanent: false };
    await continueSession(ports, ref);
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true, epoch: 2, refusals: 1, strikes: 0 });
    for (let times = 0; times < 5; times += 1) {
      ports.clock.advance(20 * MINUTE);
      expect(await reap({ ...ports, onError })).toMatchObject({ continued: 1 });
    }
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true, refusals: 6, strikes: 0 });
    ports.tasks.nextLaunch = undefined;
    ports.clock.advance(20 * MINUTE);
    await reap({ ...ports, onError });
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: false, epoch: 8, placement: { kind: 'task' } });
  });

  test('that will never be taken is a strike each time', async () => {
    const { ports, ref, next } = await runningSession();
    await ingestBatch(ports, ref, batchOf(ref, next, [drained]));
    ports.tasks.nextLaunch = { kind: 'refused', reason: 'TaskDefinition is inactive', isPermanent: true };
    await continueSession(ports, ref);
    for (let times = 0; times < 2; times += 1) {
      ports.clock.advance(20 * MINUTE);
      await reap({ ...ports, onError });
    }
    expect(await ports.sessions.meta(ref)).toMatchObject({ state: 'failed', reason: { code: 'poison_start' } });
  });

  test('that died on the way is made again by the reaper, for the same epoch', async () => {
    const { ports, ref, next } = await runningSession();
    await ingestBatch(ports, ref, batchOf(ref, next, [drained]));
    const launch = ports.tasks.launch;
    ports.tasks.launch = async () => Promise.reject(new Error('crash'));
    await expect(continueSession(ports, ref)).rejects.toThrow('crash');
    ports.tasks.launch = launch;
    expect(await continueSession(ports, ref)).toBe('waiting');
    ports.clock.advance(PLACE_RETRY_MS);
    expect(await reap({ ...ports, onError })).toMatchObject({ checked: 1, continued: 1 });
    expect(ports.tasks.launched.at(-1)?.clientToken).toBe(`${ref.sessionId}#2`);
    expect(await ports.sessions.meta(ref)).toMatchObject({ epoch: 2, placement: { kind: 'task' } });
  });

  test('whose runner never comes is a strike, and its task is stopped', async () => {
    const { ports, ref, next } = await runningSession();
    await ingestBatch(ports, ref, batchOf(ref, next, [drained]));
    await continueSession(ports, ref);
    ports.clock.advance(START_TIMEOUT_MS);
    expect(await reap({ ...ports, onError })).toMatchObject({ closed: 1 });
    expect(ports.tasks.stopped).toEqual([`task/${ref.sessionId}#2`]);
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true, strikes: 1 });
  });
});

describe('facts of ECS', () => {
  const stopped = (ref: SessionRef, taskArn: string, over: Record<string, unknown> = {}) =>
    TaskStateChange.parse({
      detail: { taskArn, lastStatus: 'STOPPED', startedBy: `${TENANT}/${ref.sessionId}/1`, version: 1, ...over },
    });

  test('that overtake the answer of the launch are not lost, and what the answer writes then changes nothing', async () => {
    const ports = controlPlanePorts();
    const { launch } = ports.tasks;
    let ref: SessionRef | undefined;
    ports.tasks.launch = async (request) => {
      const answer = await launch(request);
      ref = { tenantId: TENANT, sessionId: request.clientToken.split('#')[0] ?? '' };
      const fact = stopped(ref, answer.kind === 'launched' ? answer.taskArn : '', { stopCode: 'TaskFailedToStart' });
      expect(await taskStateChanged(ports, fact)).toBe('closed');
      return answer;
    };
    const started = await startedSession(ports);
    expect(started).toEqual(ref);
    expect(await ports.sessions.meta(started)).toMatchObject({ isSuspended: true, placement: null, strikes: 1 });
  });

  test('of a host that went are no strike, and the session goes on at once', async () => {
    const { ports, ref } = await runningSession();
    const fact = stopped(ref, `task/${ref.sessionId}#1`, { stopCode: 'TerminationNotice' });
    expect(await taskStateChanged(ports, fact)).toBe('closed');
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true, strikes: 0 });
    expect(await continueSession(ports, ref)).toBe('raised');
    for (const late of [fact, stopped(ref, `task/${ref.sessionId}#2`)])
      expect(await taskStateChanged(ports, late)).toBe('ignored');
  });

  test('of a task that does not run the epoch are nothing to it', async () => {
    const { ports, ref } = await runningSession();
    const placement = { kind: 'group', runnerId: 'r1', group: 'lab' };
    const key = metaKey(ref);
    await ports.db.write({ kind: 'update', table: 'sessions', key, set: { placement, taskArn: null } });
    const head = { placedEpoch: 1, placedOn: 'group/r1', placement };
    await ports.db.write({ kind: 'update', table: 'sessions', key: headKey(ref), set: head });
    expect(await taskStateChanged(ports, stopped(ref, `task/${ref.sessionId}#1`))).toBe('ignored');
  });
});

test('a run of the reaper ends before its time does, and the next one goes on', async () => {
  const ports = controlPlanePorts();
  const SESSIONS = 120;
  for (let count = 0; count < SESSIONS; count += 1) await startedSession(ports);
  ports.clock.advance(START_TIMEOUT_MS);
  ports.tasks.status = async () => {
    ports.clock.advance(REAPER_RUN_MS / 10);
    return { kind: 'stopped', why: 'gone', exitCode: 1, stopCode: 'TerminationNotice' };
  };
  const first = await reap({ ...ports, onError });
  expect(first.closed).toBeGreaterThan(0);
  expect(first.checked).toBeLessThan(SESSIONS);
  let closed = first.closed;
  for (let run = 0; run < SESSIONS && closed < SESSIONS; run += 1) closed += (await reap({ ...ports, onError })).closed;
  expect(closed).toBe(SESSIONS);
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
