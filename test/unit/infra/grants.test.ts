/** Each function's use-cases on ports that refuse what its grants do not name; what is granted on tables is also needed. */
import { describe, expect, test } from 'vitest';
import { accountRoutes } from '../../../functions/api/account-routes.ts';
import { runnerRoutes } from '../../../functions/api/runner-routes.ts';
import { sessionRoutes } from '../../../functions/api/session-routes.ts';
import type { Key } from '../../../functions/database.ts';
import type { HttpRoute } from '../../../functions/middleware/http.ts';
import { fillWarmPool } from '../../../functions/runners/fill-warm-pool.ts';
import { handleRunnerFrame } from '../../../functions/runners/handle-runner-frame.ts';
import { assignmentKey, type Host, hostKey } from '../../../functions/runners/host-store.ts';
import { issueCredentials } from '../../../functions/runners/issue-credentials.ts';
import { runnersChanged } from '../../../functions/runners/runner-changes.ts';
import { exchangeCredential } from '../../../functions/runners/runner-credentials.ts';
import { runnerDisconnected } from '../../../functions/runners/runner-disconnected.ts';
import { formatWarmOwner, warmRunnerId } from '../../../functions/runners/warm-store.ts';
import { continueSuspended } from '../../../functions/sessions/continue-suspended.ts';
import { reap } from '../../../functions/sessions/reap.ts';
import { reconcile } from '../../../functions/sessions/reconcile.ts';
import { sendInput } from '../../../functions/sessions/send-input.ts';
import { metaKey, type SessionRef } from '../../../functions/sessions/session-store.ts';
import { setDesired } from '../../../functions/sessions/set-desired.ts';
import { TaskStateChange, taskStateChanged } from '../../../functions/sessions/task-stopped.ts';
import { archiveFinished } from '../../../functions/streams/archive-finished.ts';
import { fanOutEvents } from '../../../functions/streams/fan-out-events.ts';
import { handleViewerFrame, viewerDisconnected } from '../../../functions/streams/handle-viewer-frame.ts';
import { ingestBatch } from '../../../functions/streams/ingest-batch.ts';
import { bootstrapTenant, createTicket, redeemTicket } from '../../../functions/tenants/sign-in.ts';
import { FUNCTIONS, type FunctionName } from '../../../infra/topology.ts';
import type { EventDraft } from '../../../shared/events.ts';
import { API_VIEWER_ID, RunnerFrame, ViewerFrame } from '../../../shared/frames.ts';
import { ARCHIVE_AFTER_MS, RUNNER_LOST_MS, START_TIMEOUT_MS, WARM_END_GRACE_MS } from '../../../shared/limits.ts';
import {
  batchOf,
  controlPlanePorts,
  shellBody,
  startedSession,
  TENANT,
  type TestPorts,
  USER,
} from '../../fakes/control-plane-ports.ts';
import { ownRunner, toState, warmRunners } from '../../fakes/own-runners.ts';
import { asFunction, grantsOf } from './as-function.ts';

const runnerOf = (ref: SessionRef) => ({ ...ref, epoch: 1, connectionId: 'runner' });
const VIEWER = { connectionId: 'page', tenantId: TENANT, userId: USER };
const attachTo = (ref: SessionRef, over: Record<string, unknown> = {}) =>
  ViewerFrame.parse({
    type: 'attach',
    sessionId: ref.sessionId,
    viewerId: 'viewer',
    mode: 'control',
    cols: 80,
    rows: 24,
    ...over,
  });
const capabilityOf = (ports: TestPorts, ref: SessionRef) =>
  ports.signer.sign({ kind: 'capability', ...ref, epoch: 1, expSec: 9e9 });
const PATH_TO_RUNNING = ['created', 'preparing_workspace', 'starting_provider', 'running'] as const;
const running: EventDraft[] = PATH_TO_RUNNING.slice(1).map((toState, index) => ({
  type: 'session_state_changed',
  fromState: PATH_TO_RUNNING[index] ?? 'created',
  toState,
  reason: null,
}));
const failing: EventDraft[] = [
  { type: 'session_state_changed', fromState: 'created', toState: 'failed', reason: null },
];

type Guarded = ReturnType<typeof asFunction>['guarded'];
interface World {
  readonly ports: TestPorts;
  readonly ref: SessionRef;
  readonly my: Guarded;
}

const callApi = async ({ ports, ref, my }: World): Promise<void> => {
  const routes: Record<string, HttpRoute> = {
    ...accountRoutes({ ...my, operatorTenant: TENANT, version: '0' }),
    ...runnerRoutes(my),
    ...sessionRoutes(my),
  };
  const call = (name: string, body: unknown = {}, query: unknown = {}, id: string = ref.sessionId) => {
    const found = routes[name];
    if (found === undefined) throw new Error(`no route ${name}`);
    const authorizer = { kind: 'user', tenantId: TENANT, userId: USER, expSec: 9e9, client: 'cli' };
    return found.run({ body, query, params: { id }, headers: {}, authorizer, requestId: 'r' });
  };
  const { signInCode } = await bootstrapTenant(ports, { tenantId: TENANT, modelVendors: [] }, USER);
  await call('POST /api/signin', { code: signInCode });
  for (const name of ['GET /api/me', 'GET /api/builds', 'GET /api/runners']) await call(name);
  for (const name of ['POST /api/tickets', 'POST /api/signin-links']) await call(name);
  await call('POST /api/builds', { buildId: 'b1', spec: 'shell@system', taskDefinitionArn: 'arn', runnerVersion: '1' });
  await call('POST /api/sessions', shellBody());
  ports.tasks.nextLaunch = { kind: 'refused', reason: 'no capacity' };
  await call('POST /api/sessions', shellBody()).catch(() => undefined);
  await call('GET /api/sessions', {}, { limit: 9 });
  await call('GET /api/sessions/{id}');
  await call('GET /api/sessions/{id}/events', {}, { fromSeq: 0, limit: 9 });
  await call('GET /api/sessions/{id}/diff');
  for (const format of ['chunks', 'asciicast'])
    await call('GET /api/sessions/{id}/transcript', {}, { from: '1:0', limit: 9, format });
  await handleRunnerFrame(
    ports,
    runnerOf(ref),
    RunnerFrame.parse({
      type: 'runner_events',
      capability: await capabilityOf(ports, ref),
      ...batchOf(ref, 1, running),
    }),
  );
  for (const verb of ['pause', 'resume', 'stop']) await call(`POST /api/sessions/{id}/${verb}`);
  await call('POST /api/runners/registrations', { group: 'lab', maxSessions: 1 });
  const { runnerId } = await ownRunner(ports);
  await call('POST /api/sessions', shellBody({ pool: 'lab' }));
  await call('POST /api/runners/{id}/drain', {}, {}, runnerId);
  await call('DELETE /api/runners/{id}', {}, {}, runnerId);
};

const talkAsRunner = async ({ ports, ref, my }: World): Promise<void> => {
  await handleViewerFrame(ports, VIEWER, attachTo(ref));
  const capability = await capabilityOf(ports, ref);
  const send = (frame: Record<string, unknown>) =>
    handleRunnerFrame(
      my,
      runnerOf(ref),
      RunnerFrame.parse({ capability, sessionId: ref.sessionId, epoch: 1, ...frame }),
    );
  const { capability: _none, ...hello } = {
    capability,
    type: 'hello',
    runnerId: 'r',
    runnerVersion: '1',
    buildId: 'b',
    protocol: 1,
    dial: 1,
    clis: {},
    isolation: 'shared_uid',
    sessions: [],
  };
  await handleRunnerFrame(my, runnerOf(ref), RunnerFrame.parse(hello));
  const uploads = [{ kind: 'transcript', number: 1, sizeBytes: 1, sha256Base64: 'A'.repeat(44) }];
  const usage: EventDraft = {
    type: 'model_usage',
    model: 'some-model',
    tokens: { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 },
    messageId: 'm1',
    label: 'metered',
  };
  await send({ type: 'runner_events', ...batchOf(ref, 1, [usage]), uploads });
  await send({ type: 'head', offset: 1, seq: 1, viewersRev: 99 });
  await send({ type: 'input_ack', viewerId: API_VIEWER_ID, controlTerm: 0, inputSeq: 1 });
  ports.viewers.answers.set('page', 'gone');
  await send({ type: 'head', offset: 1, seq: 2, viewersRev: 99 });
  await send({ type: 'runner_events', ...batchOf(ref, 2, failing) });
  await send({ type: 'runner_events', ...batchOf(ref, 1, [usage]) });
};

const onError = (_ref: SessionRef, error: unknown) => {
  throw error;
};
const suspend = (ports: TestPorts, ref: SessionRef, last: EventDraft) =>
  ingestBatch(ports, ref, batchOf(ref, 1, [...running, last]));
/** A session of a group with one runner, whose task of before is given back: the runner gets it next. */
const suspendedOnGroup = async (ports: TestPorts): Promise<void> => {
  const ref = await startedSession(ports);
  await suspend(ports, ref, { type: 'epoch_drained', why: 'w', checkpointKey: null });
  const meta = await ports.sessions.meta(ref);
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: { ...metaKey(ref), sk: 'CARD' },
    set: { config: { ...meta?.config, pool: 'lab' } },
  });
  const host: Host = {
    tenantId: TENANT,
    runnerId: 'lab-1',
    group: 'lab',
    name: null,
    maxSessions: 4,
    isRevoked: false,
    isCut: false,
    desired: 'serve',
    isDraining: false,
    capacity: 4,
    live: 0,
    connectionId: 'lab',
    dial: 1,
    runnerVersion: '1',
    buildId: 'b1',
    protocol: 1,
    clis: { shell: 'system' },
    isolation: 'own_uid',
    registeredAtMs: 1,
    connectedAtMs: 1,
    lastSeenMs: ports.clock.nowMs(),
    expiresAtSec: 9e9,
  };
  await ports.db.write({ kind: 'put', table: 'runners', item: { ...hostKey(host), ...host } });
};

const RUNS: Record<FunctionName, (world: World) => Promise<void>> = {
  api: callApi,
  'session-input': async ({ ports, ref, my }) => {
    await ports.runners.set(ref, { connectionId: 'runner', epoch: 1, dial: 1 });
    await ingestBatch(ports, ref, batchOf(ref, 1, running));
    const after = (delayMs: number, run: () => void) => {
      ports.clock.advance(delayMs);
      return ports.clock.after(delayMs, run);
    };
    const clock = { nowMs: ports.clock.nowMs, monotonicMs: ports.clock.monotonicMs, after };
    const sent = sendInput({ ...my, clock }, ref, { data: 'x', submit: true });
    await expect(sent).rejects.toMatchObject({ code: 'input_unconfirmed' });
  },
  'runner-credentials': async ({ ports, ref, my }) => {
    await issueCredentials({ ...my, modelKey: async () => null }, await capabilityOf(ports, ref));
  },
  /** Verifies a signature, and touches nothing. */
  'authorize-http': async ({ ports, my }) => {
    const token = await ports.signer.sign({ kind: 'user', tenantId: TENANT, userId: USER, client: 'cli', expSec: 9e9 });
    await my.signer.verify('user', token);
  },
  'authorize-viewer': async ({ ports, my }) => {
    const user = { kind: 'user', tenantId: TENANT, userId: USER, expSec: 9e9, client: 'cli' } as const;
    expect(await redeemTicket(my, (await createTicket(ports, user)).ticket, undefined, [])).not.toBeNull();
  },
  'authorize-runner': async ({ ports, my }) => {
    const token = ports.tasks.launched[0]?.environment.CONTROL_PLANE_TOKEN ?? '';
    expect(await exchangeCredential(my, token, 'a'.repeat(64))).not.toBeNull();
  },
  'viewer-connection': async ({ ports, ref, my }) => {
    await handleViewerFrame(ports, VIEWER, attachTo(ref));
    await handleViewerFrame(ports, { ...VIEWER, connectionId: 'stays' }, attachTo(ref, { viewerId: 'stays' }));
    await viewerDisconnected(my, VIEWER);
  },
  'viewer-frames': async ({ ref, my }) => {
    const attached = await handleViewerFrame(my, VIEWER, attachTo(ref));
    const view = attached?.type === 'attached' ? attached.view : '';
    const send = (frame: Record<string, unknown>) =>
      handleViewerFrame(my, VIEWER, ViewerFrame.parse({ sessionId: ref.sessionId, viewerId: 'viewer', ...frame }));
    await send({ type: 'input', view, controlTerm: 1, inputSeq: 1, data: 'x' });
    await send({ type: 'resize', view, controlTerm: 1, rev: 1, cols: 9, rows: 9 });
    const attachedTo = [{ sessionId: ref.sessionId, viewerId: 'viewer' }];
    await handleViewerFrame(my, VIEWER, { type: 'ping', ts: 1, attached: attachedTo });
    await handleViewerFrame(
      my,
      { ...VIEWER, connectionId: 'c2' },
      attachTo(ref, { viewerId: 'second', takeOver: true }),
    );
    await send({ type: 'detach' });
  },
  'runner-connection': async ({ ports, ref, my }) => {
    await runnerDisconnected(my, runnerOf(ref));
    await runnerDisconnected(my, (await ownRunner(ports)).who);
    const [warm] = await warmRunners({ ...ports, warmPoolSize: 1 });
    await runnerDisconnected(my, warm?.who ?? runnerOf(ref));
  },
  'runner-frames': talkAsRunner,
  'task-events': async ({ ports, ref, my }) => {
    const meta = await setDesired(ports, ref, 'stop', USER);
    const detail = {
      taskArn: meta.taskArn,
      lastStatus: 'STOPPED',
      startedBy: `${TENANT}/${ref.sessionId}/1`,
      version: 1,
    };
    expect(await taskStateChanged(my, TaskStateChange.parse({ detail }))).toBe('closed');
    await warmRunners({ ...ports, warmPoolSize: 1 });
    const idle = { ...detail, startedBy: ports.tasks.launched.at(-1)?.startedBy };
    expect(await taskStateChanged(my, TaskStateChange.parse({ detail: idle }))).toBe('ignored');
  },
  reap: async ({ ports, ref, my }) => {
    ports.tasks.nextStatus = { kind: 'stopped', why: 'gone', exitCode: 1 };
    await setDesired(ports, ref, 'stop', USER);
    ports.clock.advance(START_TIMEOUT_MS + 1);
    await suspendedOnGroup(ports);
    await suspend(ports, await startedSession(ports), { type: 'epoch_drained', why: 'w', checkpointKey: null });
    expect(await reap({ ...my, onError })).toMatchObject({ closed: 1, continued: 2, failed: 0 });
    expect(await ports.sessions.head(ref)).toMatchObject({ open: false });
    expect(await ports.sessions.meta(ref)).toMatchObject({ state: 'completed' });
  },
  'continue-sessions': async ({ ports, ref, my }) => {
    await suspendedOnGroup(ports);
    await suspend(ports, ref, { type: 'epoch_drained', why: 'w', checkpointKey: null });
    const asked = await startedSession(ports);
    await setDesired(ports, asked, 'stop', USER);
    await suspend(ports, asked, { type: 'epoch_drained', why: 'w', checkpointKey: null });
    const metas = ports.db.all('sessions').filter(({ sk }) => sk === 'META');
    ports.tasks.nextLaunch = { kind: 'refused', reason: 'no capacity' };
    expect(await continueSuspended({ ...my, onError }, metas)).toEqual({ continued: 3, failed: 0 });
  },
  reconcile: async ({ ports, ref, my }) => {
    const startedBy = `${TENANT}/${ref.sessionId}/1`;
    ports.tasks.running = [
      { taskArn: 'another', startedBy },
      { taskArn: 'forgotten', startedBy: formatWarmOwner(warmRunnerId('0'.repeat(26), 1)) },
    ];
    const failed = (_task: string, error: unknown) => onError(ref, error);
    expect(await reconcile({ ...my, onError: failed })).toMatchObject({ stopped: 2, failed: 0, complete: true });
  },
  'fill-warm-pool': async ({ ports, ref, my }) => {
    const [idle] = await warmRunners({ ...ports, warmPoolSize: 2 });
    ports.clock.advance(RUNNER_LOST_MS);
    await idle?.status(0);
    const failed = (_runner: string, error: unknown) => onError(ref, error);
    expect(await fillWarmPool({ ...my, warmPoolSize: 3, onError: failed })).toMatchObject({ launched: 1, drained: 1 });
    ports.clock.advance(WARM_END_GRACE_MS);
    expect(await fillWarmPool({ ...my, warmPoolSize: 1, onError: failed })).toMatchObject({ stopped: 1 });
  },
  'runner-changes': async ({ ports, ref, my }) => {
    const runner = await ownRunner(ports, { maxSessions: 1 });
    for (let count = 0; count < 2; count += 1) await startedSession(ports, { pool: 'lab' });
    const [first] = runner.assigned;
    if (first === undefined) throw new Error('nothing was assigned');
    await runner.batch(first, 1, toState('completed'));
    const failed = (_what: string, error: unknown) => onError(ref, error);
    const changed = (key: Key) => runnersChanged({ ...my, warmPoolSize: 1, onError: failed }, [key]);
    await changed(assignmentKey({ tenantId: TENANT, runnerId: runner.runnerId }, first.sessionId));
    expect(runner.assigned).toHaveLength(2);
    await changed({ pk: 'IDLE#0#b', sk: 'IDLE#x' });
    await setDesired(ports, { tenantId: TENANT, sessionId: runner.assigned[1]?.sessionId ?? '' }, 'stop', USER);
    const host = hostKey({ tenantId: TENANT, runnerId: runner.runnerId });
    await ports.db.write({ kind: 'update', table: 'runners', key: host, set: { isRevoked: true } });
    await changed({ pk: `T#${TENANT}#H#${runner.runnerId}`, sk: 'CREDENTIAL' });
    expect(ports.runnerCloser.closed).toEqual([runner.who.connectionId]);
  },
  'fan-out-events': async ({ ports, ref, my }) => {
    await handleViewerFrame(ports, VIEWER, attachTo(ref));
    await handleViewerFrame(ports, { ...VIEWER, connectionId: 'left' }, attachTo(ref, { viewerId: 'left' }));
    ports.viewers.answers.set('left', 'gone');
    const failed = (_row: string, error: unknown) => onError(ref, error);
    await fanOutEvents({ ...my, onError: failed }, ports.db.all('events'));
    expect(ports.viewers.posted.map(({ frame }) => frame.type)).toContain('session_event');
  },
  'archive-events': async ({ ports, ref, my }) => {
    await ingestBatch(ports, ref, batchOf(ref, 1, failing));
    ports.clock.advance(ARCHIVE_AFTER_MS + 1);
    expect(await archiveFinished({ ...my, onError })).toMatchObject({ archived: 1, failed: 0 });
  },
  'bootstrap-tenant': async ({ my }) => {
    await bootstrapTenant(my, { tenantId: TENANT, modelVendors: [] }, USER);
  },
};

describe.each(FUNCTIONS.map(({ name }) => name))('%s', (name) => {
  test('has the grants that its work needs, and needs every table that it is granted', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    await ports.runners.set(ref, { connectionId: 'runner', epoch: 1, dial: 1 });
    const { guarded, used } = asFunction(name, ports);
    await RUNS[name]({ ports, ref, my: guarded });
    const needed = grantsOf(name).flatMap((grant) =>
      grant.kind === 'table' ? [`${grant.table} ${grant.access === 'read' ? 'read' : 'write'}`] : [],
    );
    const written = new Set([...used].filter((use) => use.endsWith(' write')).map((use) => use.split(' ')[0]));
    const strongest = [...used].filter((use) => use.endsWith(' write') || !written.has(use.split(' ')[0]));
    expect(strongest.sort()).toEqual(needed.sort());
  });
});

test('a function that only adds to the log can neither read nor delete there', async () => {
  const ports = controlPlanePorts();
  const { db } = asFunction('viewer-frames', ports).guarded;
  const key = { pk: 'a', sk: 'b' };
  for (const table of ['sessions', 'events'] as const)
    await expect(db.write({ kind: 'delete', table, key })).rejects.toThrow(`write of ${table} (delete)`);
  await expect(db.write({ kind: 'put', table: 'sessions', item: key })).rejects.toThrow('write of sessions (put)');
  await expect(db.write({ kind: 'update', table: 'events', key, set: {} })).rejects.toThrow('write of events (update)');
  await expect(db.get('events', key)).rejects.toThrow('read of events (get)');
  await expect(db.query({ table: 'sessions', partition: 'a', limit: 1 })).rejects.toThrow('read of sessions (query)');
});

test('what is not granted is refused', async () => {
  const ports = controlPlanePorts();
  const { guarded } = asFunction('runner-credentials', ports);
  await expect(guarded.db.get('tenants', { pk: 'a', sk: 'b' })).rejects.toThrow('no grant for read of tenants');
  await expect(guarded.db.write({ kind: 'delete', table: 'sessions', key: { pk: 'a', sk: 'b' } })).rejects.toThrow(
    'write of sessions (delete)',
  );
});
