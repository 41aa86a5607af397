/** Epochs that were lost, refused or never came: strikes, launches, facts of ECS. */
import { describe, expect, test } from 'vitest';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { continueSession } from '../../../../functions/sessions/continue-session.ts';
import { continueSuspended } from '../../../../functions/sessions/continue-suspended.ts';
import { reap } from '../../../../functions/sessions/reap.ts';
import { headKey, metaKey, type SessionRef } from '../../../../functions/sessions/session-store.ts';
import { TaskStateChange, taskStateChanged } from '../../../../functions/sessions/task-stopped.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import {
  CONTINUE_BACKOFF_FIRST_MS,
  EPOCH_STRIKES_MAX,
  PLACE_RETRY_MS,
  REAPER_RUN_MS,
  START_TIMEOUT_MS,
} from '../../../../shared/limits.ts';
import {
  batchOf,
  controlPlanePorts,
  startedSession,
  TENANT,
  type TestPorts,
} from '../../../fakes/control-plane-ports.ts';
import {
  drained,
  lost,
  MINUTE,
  metas,
  onError,
  runningSession,
  slots,
  toRunning,
  turn,
  typesOf,
} from './epochs-support.ts';

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
