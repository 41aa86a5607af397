/** Customer-hosted runners and the warm pool through the exported handlers, on the embedded database: what memory cannot show. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { EventDraft } from '../../shared/events.ts';
import { ControlToRunnerFrame, NEXT_CREDENTIAL_HEADER } from '../../shared/frames.ts';
import { RunnerList, RunnerRegistered } from '../../shared/http.ts';
import { nextRunnerCredential } from '../../shared/runner-credential.ts';
import { SessionView } from '../../shared/session.ts';
import { batchOf } from '../fakes/control-plane-ports.ts';
import { toState } from '../fakes/own-runners.ts';
import { type Connection, type ControlPlane, startControlPlane } from './functions-harness.ts';

let plane: ControlPlane;
let token = '';
beforeAll(async () => {
  plane = await startControlPlane({ WARM_POOL_SIZE: '1' });
  token = (await plane.bootstrap('acme')).token;
  await plane.http('POST', '/api/builds', {
    token,
    body: { buildId: 'shell-1', spec: 'shell@5.2', taskDefinitionArn: 'arn:td:1', runnerVersion: '0.1.0' },
  });
});
afterAll(() => plane.stop());
beforeEach(() => {
  plane.posts.length = 0;
});

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const dial = (credential: string, next: string) =>
  plane.connect('runner', { Authorization: `Bearer ${credential}`, [NEXT_CREDENTIAL_HEADER]: sha256(next) });
const hello = (connection: Connection, over: Record<string, unknown> = {}) =>
  plane.send('runner', connection, {
    type: 'hello',
    runnerId: 'own',
    runnerVersion: '0.1.0',
    buildId: 'own-1',
    protocol: 1,
    dial: 1,
    clis: { shell: '5.2' },
    isolation: 'shared_uid',
    sessions: [],
    ...over,
  });

const register = async (group: string, maxSessions: number) => {
  const { body } = await plane.http('POST', '/api/runners/registrations', { token, body: { group, maxSessions } });
  return RunnerRegistered.parse(body);
};
const ownRunner = async (group: string, maxSessions: number) => {
  const { token: credential, runnerId } = await register(group, maxSessions);
  const next = nextRunnerCredential(credential, 'b'.repeat(64));
  const connection = await dial(credential, next);
  if (connection === null) throw new Error('the runner was refused');
  expect(await hello(connection, { capacity: maxSessions })).toMatchObject({ type: 'welcome', desired: 'serve' });
  return { connection, runnerId, next };
};
const start = async (pool: string) => {
  const body = { provider: 'shell', repository: { url: '/srv/app' }, pool };
  const answer = await plane.http('POST', '/api/sessions', { token, body });
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
  return z.object({ session: SessionView }).parse(answer.body).session;
};
const assignsOf = ({ id }: Connection) =>
  plane.posts.flatMap(({ connectionId, frame }) => {
    const parsed = connectionId === id ? ControlToRunnerFrame.parse(frame) : null;
    return parsed?.type === 'assign' ? [parsed] : [];
  });
type Assign = ReturnType<typeof assignsOf>[number];
const batch = (connection: Connection, { sessionId, capability, epoch }: Assign, drafts: readonly EventDraft[]) =>
  plane.send('runner', connection, {
    type: 'runner_events',
    capability,
    ...batchOf({ tenantId: 'acme', sessionId }, 1, drafts, epoch),
  });
const viewOf = async (sessionId: string) =>
  SessionView.parse((await plane.http('GET', `/api/sessions/${sessionId}`, { token })).body);
const runners = async () => RunnerList.parse((await plane.http('GET', '/api/runners', { token })).body).runners;
/** A row that was removed, as the table's stream tells it. */
const removed = (pk: string, sk: string) =>
  plane.invoke('runner-changes', {
    Records: [{ eventName: 'REMOVE', dynamodb: { Keys: { pk: { S: pk }, sk: { S: sk } } } }],
  });

describe('a group of two runners', () => {
  test('five sessions on two and two places: the fifth waits at position 1, and starts when one ends', async () => {
    const [one, two] = [await ownRunner('lab', 2), await ownRunner('lab', 2)];
    const sessions = [];
    for (let count = 0; count < 5; count += 1) sessions.push(await start('lab'));
    expect([assignsOf(one.connection).length, assignsOf(two.connection).length]).toEqual([2, 2]);
    const fifth = sessions[4]?.sessionId ?? '';
    expect(sessions[4]).toMatchObject({ queuePosition: 1, placement: null, pool: 'lab' });
    const [first] = assignsOf(one.connection);
    if (first === undefined) throw new Error('not assigned');
    expect(await batch(one.connection, first, toState('completed'))).toMatchObject({ type: 'ack' });
    await removed('T#acme', `ASSIGN#${one.runnerId}#${first.sessionId}`);
    expect(assignsOf(one.connection).map(({ sessionId }) => sessionId)).toContain(fifth);
    expect(await viewOf(fifth)).toMatchObject({
      queuePosition: null,
      placement: { kind: 'group', runnerId: one.runnerId },
    });
  });

  test('of a hundred parallel starts exactly as many as there are places are assigned', async () => {
    const own = await Promise.all([4, 6].map((places) => ownRunner('crowd', places)));
    const started = await Promise.all(Array.from({ length: 100 }, () => start('crowd')));
    /** What lost against the others in the same moment is asked for again by whatever happens next. */
    await removed('T#acme', `ASSIGN#${own[0]?.runnerId}#ses_00000000000000000000000000`);
    const held = (await runners()).filter(({ group }) => group === 'crowd');
    expect(held.map(({ sessions, capacity }) => [sessions.length, capacity]).sort()).toEqual([
      [4, 4],
      [6, 6],
    ]);
    const assigned = new Set(own.flatMap(({ connection }) => assignsOf(connection).map(({ sessionId }) => sessionId)));
    expect(assigned.size).toBe(10);
    const views = await Promise.all(started.map(({ sessionId }) => viewOf(sessionId)));
    const positions = views.flatMap(({ queuePosition }) => queuePosition ?? []).sort((a, b) => a - b);
    expect(positions).toEqual(Array.from({ length: 90 }, (_, at) => at + 1));
    await Promise.all(
      started.map(({ sessionId }) => plane.http('POST', `/api/sessions/${sessionId}/stop`, { token, body: {} })),
    );
  }, 120_000);
});

describe('a runner', () => {
  test('that is revoked is cut off: credential, connection, frames; its session is closed to go on elsewhere', async () => {
    const { connection, runnerId, next } = await ownRunner('short', 1);
    const { sessionId } = await start('short');
    const [assign] = assignsOf(connection);
    if (assign === undefined) throw new Error('not assigned');
    await batch(connection, assign, toState('running'));
    const revoked = await plane.http('DELETE', `/api/runners/${runnerId}`, { token });
    expect(revoked).toMatchObject({ status: 200, body: { runner: { state: 'revoked', sessions: [] } } });
    expect(plane.closedConnections).toEqual([connection.id]);
    expect(await dial(next, nextRunnerCredential(next, 'c'.repeat(64)))).toBeNull();
    const before = await plane.http('GET', `/api/sessions/${sessionId}/events`, { token });
    for (const frame of [
      { type: 'runner_events', capability: assign.capability, ...batchOf({ tenantId: 'acme', sessionId }, 4, []) },
      { type: 'runner_status', ts: 1, live: 1, capacity: 1, draining: false },
    ])
      expect(await plane.send('runner', connection, frame)).toMatchObject({
        type: 'error',
        code: 'invalid_credential',
      });
    expect(await hello(connection)).toMatchObject({ type: 'error', code: 'invalid_credential' });
    expect(await plane.http('POST', '/api/runner/credentials', { token: assign.capability })).toMatchObject({
      body: { code: 'stale_epoch' },
    });
    expect((await plane.http('GET', `/api/sessions/${sessionId}/events`, { token })).body).toEqual(before.body);
    expect(await viewOf(sessionId)).toMatchObject({ placement: null, state: 'running' });
  });

  test('of another protocol is told what to install, also where its hello has other fields', async () => {
    const { token: credential } = await register('new', 1);
    const connection = await dial(credential, nextRunnerCredential(credential, 'b'.repeat(64)));
    if (connection === null) throw new Error('the runner was refused');
    expect(await hello(connection, { protocol: 99, invented: true })).toMatchObject({
      type: 'error',
      code: 'protocol_unsupported',
      message: expect.stringContaining('install the version'),
    });
    expect((await runners()).find(({ group }) => group === 'new')).toMatchObject({ state: 'registered' });
  });

  test('of another tenant hears and says nothing of this one', async () => {
    const other = (await plane.bootstrap('other', 'eve')).token;
    const { body } = await plane.http('POST', '/api/runners/registrations', { token: other, body: { group: 'lab' } });
    const { token: credential } = RunnerRegistered.parse(body);
    const foreign = await dial(credential, nextRunnerCredential(credential, 'b'.repeat(64)));
    const own = await ownRunner('mixed', 1);
    const { sessionId } = await start('mixed');
    const [assign] = assignsOf(own.connection);
    if (foreign === null || assign === undefined) throw new Error('not connected');
    const asked = { sessionId, epoch: 1, nextRseq: 1, head: 0, desiredRev: 0, viewersRev: 0 };
    const welcome = await hello(foreign, { sessions: [asked] });
    expect(welcome).toMatchObject({ sessions: [{ open: false, ackedRseq: 0, watchers: { viewers: [] } }] });
    expect(await batch(foreign, assign, toState('running'))).toMatchObject({ type: 'error', code: 'forbidden' });
    expect(assignsOf(foreign)).toEqual([]);
    expect(await viewOf(sessionId)).toMatchObject({ state: 'created' });
  });
});

describe('the warm pool', () => {
  test('launches an idle task; a start claims it, and its place is filled again', async () => {
    await plane.invoke('fill-warm-pool', {});
    const launched = () => plane.ecsCalls.filter(({ action }) => action === 'RunTask');
    const RunTask = z.object({
      startedBy: z.string(),
      overrides: z.object({
        containerOverrides: z.array(
          z.object({ environment: z.array(z.object({ name: z.string(), value: z.string() })) }),
        ),
      }),
    });
    const { startedBy, overrides } = RunTask.parse(launched().at(-1)?.input);
    const credential =
      overrides.containerOverrides[0]?.environment.find(({ name }) => name === 'CONTROL_PLANE_TOKEN')?.value ?? '';
    expect(startedBy).toMatch(/^warm\/warm-\d-/);
    const connection = await dial(credential, nextRunnerCredential(credential, 'b'.repeat(64)));
    if (connection === null) throw new Error('the idle runner was refused');
    expect(await hello(connection)).toMatchObject({ type: 'welcome', sessions: [], desired: 'serve' });
    const before = launched().length;
    const session = await start('hosted');
    expect(session.placement).toMatchObject({ kind: 'warm' });
    expect(launched()).toHaveLength(before);
    const [assign] = assignsOf(connection);
    expect(assign).toMatchObject({ sessionId: session.sessionId });
    if (assign === undefined) throw new Error('not assigned');
    expect(await batch(connection, assign, toState('running'))).toMatchObject({ type: 'ack' });
    await removed('IDLE#0#shell-1', 'IDLE#warm-0-x');
    expect(launched()).toHaveLength(before + 1);
  });
});
