/**
 * A control plane and its runners on one clock that jumps: the real handlers over the database in memory, the real Runner, and a line
 * between them that loses, repeats and breaks as a seed says. Only programs and sockets are stand-ins.
 */
import path from 'node:path';
import { buildStore } from '../../functions/releases/build-store.ts';
import { handleRunnerFrame } from '../../functions/runners/handle-runner-frame.ts';
import { issueCredentials } from '../../functions/runners/issue-credentials.ts';
import { deriveStartToken } from '../../functions/runners/runner-credentials.ts';
import { runnerStore } from '../../functions/runners/runner-store.ts';
import { sessionStore } from '../../functions/sessions/session-store.ts';
import { setDesired } from '../../functions/sessions/set-desired.ts';
import { startSession } from '../../functions/sessions/start-session.ts';
import { jwtSigner } from '../../functions/signing.ts';
import { runnerLine } from '../../functions/streams/runner-line.ts';
import { viewerFanOut } from '../../functions/streams/viewer-fan-out.ts';
import { watcherStore } from '../../functions/streams/watchers.ts';
import { tenantStore } from '../../functions/tenants/tenant-store.ts';
import { ADAPTERS } from '../../runner-image/src/adapters/registry.ts';
import { parseConfig } from '../../runner-image/src/config.ts';
import { createLog } from '../../runner-image/src/log.ts';
import { Runner } from '../../runner-image/src/runner.ts';
import type { SocketEvents } from '../../runner-image/src/transport/socket.ts';
import { type Clock, type Random, systemRandom } from '../../shared/clock.ts';
import type { EventEnvelope } from '../../shared/events.ts';
import { type ControlToRunnerFrame, RunnerFrame } from '../../shared/frames.ts';
import { StartSessionBody } from '../../shared/http.ts';
import { controlPlanePorts } from '../fakes/control-plane-ports.ts';
import { MemoryDatabase } from '../fakes/memory-database.ts';
import { standInCli, standInHost } from '../fakes/stand-in-cli.ts';
import type { KnownEpoch } from '../invariants/known-events.ts';

const TENANT = 'acme';

interface LineFaults {
  readonly random: Random;
  /** Of each answer to the runner: lost, or the frame handled twice. */
  readonly drop: number;
  readonly duplicate: number;
}

/** What a runner sent, and what it was told: no event of it may be missing. */
class Witness {
  readonly #events = new Map<number, EventEnvelope>();
  readonly #sessionId: string;
  #ackedRseq = 0;

  constructor(sessionId: string) {
    this.#sessionId = sessionId;
  }

  sent(frame: RunnerFrame): void {
    if (frame.type !== 'runner_events') return;
    // What did not fit its schema is stored opaquely: not told apart here, and not sent by stand-ins.
    frame.events.forEach((event, index) => void this.#events.set(frame.firstRseq + index, event as EventEnvelope));
  }
  told(frame: ControlToRunnerFrame): void {
    if (frame.type === 'ack') this.#ackedRseq = Math.max(this.#ackedRseq, frame.ackedRseq);
  }
  known(): KnownEpoch {
    const journaled = [...this.#events].sort(([a], [b]) => a - b).map(([, event]) => event);
    return { sessionId: this.#sessionId, epoch: 1, journaled, ackedRseq: this.#ackedRseq, isDiskLost: false };
  }
}

export interface VirtualSession {
  readonly sessionId: string;
  readonly folder: string;
  readonly over: Promise<unknown>;
  print(text: string): void;
  readonly emit: ReturnType<typeof standInCli>['emit'];
  /** Breaks the line, if there is one. */
  cut(): void;
  dials(): number;
  known(): KnownEpoch;
  state(): unknown;
}

export const virtualVillage = async (clock: Clock, root: string, repository: string, faults: LineFaults) => {
  const db = new MemoryDatabase();
  const sockets = new Map<string, SocketEvents>();
  const runnerSender = {
    post: async (connectionId: string, frame: ControlToRunnerFrame) => {
      const socket = sockets.get(connectionId);
      const text = JSON.stringify(frame);
      queueMicrotask(() => socket?.onText(text));
      return socket === undefined ? ('gone' as const) : ('sent' as const);
    },
  };
  const viewers = { post: async () => 'sent' as const };
  const signingKey = async () => new TextEncoder().encode('k'.repeat(64));
  const sessions = sessionStore(db, clock);
  const watchers = watcherStore({ db, sessions, clock });
  const runners = runnerLine({ db, sender: runnerSender, clock });
  const ports = {
    ...controlPlanePorts(),
    ...{ clock, random: systemRandom, db, sessions, watchers, runners, runnerSender, viewers, signingKey },
    fanOut: viewerFanOut({ watchers, viewers, runners, clock, epochOf: sessions.epochOf }),
    ...{ tenants: tenantStore(db, clock), builds: buildStore(db), runnerStore: runnerStore(db, clock) },
    signer: jwtSigner({ key: signingKey, clock }),
    onError: (_ref: unknown, error: unknown) => {
      throw error;
    },
  };
  await ports.builds.put({
    ...{ buildId: 'soak', clis: { shell: 'system' }, runnerVersion: '0.1.0', status: 'ready' },
    taskDefinitionArn: 'arn:aws:ecs:us-east-1:000000000000:task-definition/village-runner:7',
    createdAt: new Date(clock.nowMs()).toISOString(),
  });
  let started = 0;

  const start = async (): Promise<VirtualSession> => {
    started += 1;
    const name = `soak-${started}`;
    const body = StartSessionBody.parse({ provider: 'shell', repository: { url: repository } });
    const meta = await startSession(ports, { tenantId: TENANT, userId: 'ada', idempotencyKey: undefined }, body);
    const { sessionId } = meta.config;
    const scope = { tenantId: TENANT, sessionId, epoch: 1 };
    const witness = new Witness(sessionId);
    let dials = 0;
    let current: SocketEvents | undefined;
    let handling: Promise<void> = Promise.resolve();

    const answer = async (connectionId: string, events: SocketEvents, frame: RunnerFrame): Promise<void> => {
      const handle = () => handleRunnerFrame(ports, { kind: 'session', ...scope, connectionId }, frame);
      const reply = await handle();
      if (faults.random.next() < faults.duplicate) await handle();
      if (reply === null || faults.random.next() < faults.drop || !sockets.has(connectionId)) return;
      witness.told(reply);
      events.onText(JSON.stringify(reply));
    };
    const openSocket = (_ticket: unknown, events: SocketEvents) => {
      dials += 1;
      const connectionId = `${name}-${dials}`;
      sockets.set(connectionId, events);
      current = events;
      queueMicrotask(() => events.onOpen());
      const close = (): void => {
        if (sockets.delete(connectionId)) queueMicrotask(() => events.onClosed({ status: null, message: 'closed' }));
      };
      return {
        send: (text: string, onSent: () => void) => {
          queueMicrotask(onSent);
          if (!sockets.has(connectionId)) return;
          const frame = RunnerFrame.parse(JSON.parse(text));
          witness.sent(frame);
          handling = handling.then(() => answer(connectionId, events, frame));
        },
        ...{ close, terminate: close },
      };
    };
    const { host, print } = standInHost();
    const { adapter, emit } = standInCli();
    const folder = path.join(root, name);
    const config = parseConfig(
      {
        CONTROL_PLANE_URL: 'http://127.0.0.1:1',
        CONTROL_PLANE_TOKEN: deriveStartToken(await signingKey(), scope),
        WORKSPACE_ROOT: path.join(folder, 'work'),
        VILLAGE_STATE_DIR: path.join(folder, 'state'),
        VILLAGE_PTY_SOCKET: path.join(folder, 'none'),
        RUNNER_ID: name,
      },
      () => name,
    );
    if (config.kind === 'bad') throw new Error(config.lines.join('\n'));
    const runner = new Runner({
      config: config.config,
      openSocket,
      ports: {
        ...{ clock, bootMs: () => clock.monotonicMs(), random: systemRandom, host, isolation: 'shared_uid' as const },
        log: createLog(
          'error',
          clock,
          (line) => process.stderr.write(line),
          {},
          () => {},
        ),
        fetchCredentials: async (capability) => ({
          kind: 'ok',
          credentials: await issueCredentials({ ...ports, modelKey: async () => null }, capability),
        }),
        put: async () => ({ kind: 'answer', status: 200 }),
        adapters: { ...ADAPTERS, shell: adapter },
        gitEnvironment: { PATH: process.env.PATH ?? '', HOME: root },
        agentPath: process.env.PATH ?? '',
        allowsLocalRepositories: true,
      },
    });
    return {
      ...{ sessionId, emit, over: runner.run(), folder: path.join(folder, 'work', 'workspaces', sessionId) },
      print: (text) => print(Buffer.from(text)),
      cut: () => {
        for (const [connectionId, events] of sockets)
          if (events === current) {
            sockets.delete(connectionId);
            events.onClosed({ status: null, message: 'cut' });
          }
      },
      dials: () => dials,
      known: () => witness.known(),
      state: () => db.all('sessions').find(({ pk, sk }) => sk === 'META' && String(pk).endsWith(sessionId))?.state,
    };
  };
  const tables = () => ({
    ...{ sessions: db.all('sessions'), events: db.all('events') },
    ...{ usage: db.all('usage'), tenants: db.all('tenants') },
  });
  const stop = (sessionId: string) => setDesired(ports, { tenantId: TENANT, sessionId }, 'stop', 'ada');
  return { ports, start, stop, tables };
};
