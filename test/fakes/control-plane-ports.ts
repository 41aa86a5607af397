/** Ports of the control plane in memory, on one clock that the test moves. */
import { createHash } from 'node:crypto';
import type { Database } from '../../functions/database.ts';
import { buildStore } from '../../functions/releases/build-store.ts';
import { runnerStore } from '../../functions/runners/runner-store.ts';
import type {
  ConnectionCloser,
  ConnectionSender,
  LaunchRequest,
  LaunchResult,
  ObjectStore,
  PostResult,
  RunningTask,
  TaskLauncher,
  TaskLister,
  TaskStatus,
} from '../../functions/sessions/ports.ts';
import { sessionStore } from '../../functions/sessions/session-store.ts';
import { startSession } from '../../functions/sessions/start-session.ts';
import { jwtSigner } from '../../functions/signing.ts';
import type { Batch } from '../../functions/streams/ingest-batch.ts';
import { runnerLine } from '../../functions/streams/runner-line.ts';
import { viewerFanOut } from '../../functions/streams/viewer-fan-out.ts';
import { watcherStore } from '../../functions/streams/watchers.ts';
import { tenantStore } from '../../functions/tenants/tenant-store.ts';
import { batchDigestInput } from '../../shared/batch.ts';
import type { Clock, Random } from '../../shared/clock.ts';
import type { EventDraft, RunnerEvent } from '../../shared/events.ts';
import type { ControlToRunnerFrame, ControlToViewerFrame } from '../../shared/frames.ts';
import { StartSessionBody } from '../../shared/http.ts';
import { RECONCILE_PAGE_TASKS } from '../../shared/limits.ts';
import { MemoryDatabase } from './memory-database.ts';

export class TestClock implements Clock {
  #nowMs = Date.UTC(2026, 0, 1);
  nowMs = () => this.#nowMs;
  monotonicMs = () => this.#nowMs;
  after = (_delayMs: number, run: () => void) => {
    queueMicrotask(run);
    return () => {};
  };
  advance(ms: number): void {
    this.#nowMs += ms;
  }
}

export const seededRandom = (seed = 1): Random => {
  let state = seed;
  const next = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  return {
    next,
    hex: (sizeBytes) =>
      Array.from({ length: sizeBytes }, () =>
        Math.floor(next() * 256)
          .toString(16)
          .padStart(2, '0'),
      ).join(''),
  };
};

/** Remembers what was posted; a connection can be made to answer otherwise. */
export class FakeSender<F> implements ConnectionSender<F> {
  readonly posted: { connectionId: string; frame: F }[] = [];
  readonly answers = new Map<string, PostResult>();
  post = async (connectionId: string, frame: F): Promise<PostResult> => {
    const answer = this.answers.get(connectionId) ?? 'sent';
    if (answer === 'sent') this.posted.push({ connectionId, frame });
    return answer;
  };
}

export class FakeCloser implements ConnectionCloser {
  readonly closed: string[] = [];
  close = async (connectionId: string): Promise<void> => void this.closed.push(connectionId);
}

export class FakeTasks implements TaskLauncher, TaskLister {
  readonly launched: LaunchRequest[] = [];
  readonly stopped: string[] = [];
  nextLaunch: LaunchResult | undefined;
  nextStatus: TaskStatus = { kind: 'live' };
  launch = async (request: LaunchRequest): Promise<LaunchResult> => {
    this.launched.push(request);
    return this.nextLaunch ?? { kind: 'launched', taskArn: `task/${request.clientToken}` };
  };
  status = async (): Promise<TaskStatus> => this.nextStatus;
  stop = async (taskArn: string): Promise<void> => {
    this.stopped.push(taskArn);
  };
  /** What ECS lists; a test fills it. */
  running: readonly RunningTask[] = [];
  listRunning = async (cursor: string | null) => {
    const from = Number(cursor ?? 0);
    const to = from + RECONCILE_PAGE_TASKS;
    return { tasks: this.running.slice(from, to), cursor: to < this.running.length ? String(to) : null };
  };
}

type MemoryObjects = ObjectStore & {
  readonly stored: Map<string, unknown>;
  /** What putOnce has stored; a test damages or removes it. */
  readonly bodies: Map<string, Uint8Array>;
  readonly deleted: string[];
};
const memoryObjects = (): MemoryObjects => {
  const stored = new Map<string, unknown>();
  const bodies = new Map<string, Uint8Array>();
  const deleted: string[] = [];
  return {
    stored,
    bodies,
    deleted,
    putOnce: async ({ key, body, sha256Base64 }) => {
      if (createHash('sha256').update(body).digest('base64') !== sha256Base64) throw new Error('BadDigest');
      if (bodies.has(key)) return 'taken';
      bodies.set(key, body.slice());
      return 'stored';
    },
    getBytes: async (key, maxBytes) => bodies.get(key)?.slice(0, maxBytes + 1) ?? null,
    putJson: async (key, value) => void stored.set(key, JSON.parse(JSON.stringify(value))),
    getJson: async (key) => stored.get(key) ?? null,
    delete: async (key) => {
      bodies.delete(key);
      stored.delete(key);
      deleted.push(key);
    },
    presignGet: async (key) => `https://objects.test/${key}?get`,
    presignPut: async ({ key, sizeBytes, sha256Base64 }) => ({
      url: `https://objects.test/${key}?put`,
      headers: { 'content-length': String(sizeBytes), 'x-amz-checksum-sha256': sha256Base64 },
    }),
  };
};

export const TENANT = 'acme';
export const USER = 'ada';

/** The same on another engine. */
export const controlPlanePortsOn = <D extends Database>(db: D) => {
  const clock = new TestClock();
  const random = seededRandom();
  const signingKey = async () => new TextEncoder().encode('k'.repeat(64));
  const runnerSender = new FakeSender<ControlToRunnerFrame>();
  const viewers = new FakeSender<ControlToViewerFrame>();
  const sessions = sessionStore(db, clock);
  const watchers = watcherStore({ db, sessions, clock });
  const runners = runnerLine({ db, sender: runnerSender, clock });
  let ids = 0;
  return {
    clock,
    random,
    db,
    sessions,
    watchers,
    runners,
    runnerSender,
    viewers,
    fanOut: viewerFanOut({ watchers, viewers, runners, clock, epochOf: sessions.epochOf }),
    tenants: tenantStore(db, clock),
    builds: buildStore(db),
    runnerStore: runnerStore(db, clock),
    signer: jwtSigner({ key: signingKey, clock }),
    signingKey,
    objects: memoryObjects(),
    tasks: new FakeTasks(),
    newId: () => String(++ids).padStart(26, '0'),
    publicUrl: 'https://village.test',
    warmPoolSize: 0,
    runnerImage: 'runner:test',
    runnerCloser: new FakeCloser(),
  };
};
export const controlPlanePorts = () => controlPlanePortsOn(new MemoryDatabase());
export type TestPorts = ReturnType<typeof controlPlanePorts>;

/** On whatever engine. */
type AnyPorts = Omit<TestPorts, 'db'> & { readonly db: Database };

export const addBuild = (ports: Pick<TestPorts, 'builds' | 'clock'>, buildId = 'build-1') =>
  ports.builds.put({
    buildId,
    clis: { shell: 'system', claude_code: '2.1.330' },
    runnerVersion: '0.1.0',
    taskDefinitionArn: `arn:task-definition/${buildId}:1`,
    status: 'ready',
    createdAt: new Date(ports.clock.nowMs()).toISOString(),
  });

export const shellBody = (over: Record<string, unknown> = {}): StartSessionBody =>
  StartSessionBody.parse({ provider: 'shell', repository: { url: 'https://git.test/acme/app.git' }, ...over });

/** A started shell session, its task launched. */
export const startedSession = async (ports: AnyPorts, over: Record<string, unknown> = {}) => {
  if ((await ports.builds.list()).length === 0) await addBuild(ports);
  const meta = await startSession(
    ports,
    { tenantId: TENANT, userId: USER, idempotencyKey: undefined },
    shellBody(over),
  );
  return { tenantId: TENANT, sessionId: meta.config.sessionId };
};

/** A sealed batch as the runner makes it. */
export const batchOf = (
  ref: { tenantId: string; sessionId: string },
  firstRseq: number,
  drafts: readonly EventDraft[],
  epoch = 1,
): Batch => {
  const events = drafts.map(
    (draft, index): RunnerEvent => ({
      v: 1,
      ...ref,
      epoch,
      rseq: firstRseq + index,
      ts: 1_767_225_600_000 + index,
      offset: 10 * (firstRseq + index),
      ...draft,
    }),
  );
  const identity = { sessionId: ref.sessionId, epoch, firstRseq, events };
  return { ...identity, digest: createHash('sha256').update(batchDigestInput(identity)).digest('hex') };
};
