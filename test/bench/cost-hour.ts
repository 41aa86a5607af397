/**
 * One session works through a recorded trace on a clock that jumps: the real runner, the real handlers and their stores, and a counter
 * at every place where AWS would write a line on the bill. Only programs (the CLI, git's remote) and sockets are stand-ins.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildStore } from '../../functions/releases/build-store.ts';
import { handleRunnerFrame } from '../../functions/runners/handle-runner-frame.ts';
import { issueCredentials } from '../../functions/runners/issue-credentials.ts';
import { deriveStartToken } from '../../functions/runners/runner-credentials.ts';
import { runnerStore } from '../../functions/runners/runner-store.ts';
import { reap } from '../../functions/sessions/reap.ts';
import { sessionStore } from '../../functions/sessions/session-store.ts';
import { setDesired } from '../../functions/sessions/set-desired.ts';
import { startSession } from '../../functions/sessions/start-session.ts';
import { jwtSigner } from '../../functions/signing.ts';
import { archiveFinished } from '../../functions/streams/archive-finished.ts';
import { fanOutEvents } from '../../functions/streams/fan-out-events.ts';
import { handleViewerFrame } from '../../functions/streams/handle-viewer-frame.ts';
import { runnerLine } from '../../functions/streams/runner-line.ts';
import { viewerFanOut } from '../../functions/streams/viewer-fan-out.ts';
import { watcherStore } from '../../functions/streams/watchers.ts';
import { tenantStore } from '../../functions/tenants/tenant-store.ts';
import { FUNCTIONS, type FunctionName } from '../../infra/topology.ts';
import { ADAPTERS } from '../../runner-image/src/adapters/registry.ts';
import { parseConfig } from '../../runner-image/src/config.ts';
import { createLog } from '../../runner-image/src/log.ts';
import { Runner } from '../../runner-image/src/runner.ts';
import type { SocketEvents } from '../../runner-image/src/transport/socket.ts';
import { systemRandom } from '../../shared/clock.ts';
import { type ControlToRunnerFrame, type ControlToViewerFrame, RunnerFrame, ViewerFrame } from '../../shared/frames.ts';
import { StartSessionBody } from '../../shared/http.ts';
import { ARCHIVE_AFTER_MS, PING_INTERVAL_MS } from '../../shared/limits.ts';
import { controlPlanePorts } from '../fakes/control-plane-ports.ts';
import { standInCli, standInHost } from '../fakes/stand-in-cli.ts';
import { manualClock } from '../unit/runner-image/adapters/fake-ports.ts';
import { type DatabaseUnits, meteredDatabase } from './metered-database.ts';
import { ASSUMED } from './prices.ts';
import { workHour } from './trace.ts';

const TENANT = 'acme';
const FRAME_UNIT_BYTES = 32 * 1_024;
const RAN_OUT_MS = 60_000;
/** Files and git work in real time while the clock stands still: it goes on when nothing of it is seen for so many looks. */
const REAL_LOOK_MS = 5;
const REAL_QUIET_LOOKS = 4;
const REAL_WORK = new Set(['ProcessWrap', 'FSReqCallback', 'FSReqPromise']);
/** A change of a file is told by the kernel when it likes. */
const REAL_PAUSE_MS = 40;
/** Virtual time between two looks for real work. */
const STEP_MS = 200;
const WINDOWS = 4;

export interface Counts {
  reads: number;
  runnerMessages: number;
  viewerMessages: number;
  connectionMinutes: number;
  readonly invocations: Partial<Record<FunctionName, number>>;
  gbSeconds: number;
  httpRequests: number;
  puts: number;
  gets: number;
  batches: number;
  readonly database: DatabaseUnits;
}

const memoryGbOf = (name: FunctionName): number =>
  (FUNCTIONS.find((one) => one.name === name)?.memoryMb ?? 512) / 1_024;
const unitsOf = (text: string): number => Math.max(1, Math.ceil(Buffer.byteLength(text) / FRAME_UNIT_BYTES));
const realPause = (ms = REAL_PAUSE_MS) => new Promise((resolve) => setTimeout(resolve, ms));
const isWorking = (): boolean => process.getActiveResourcesInfo().some((name) => REAL_WORK.has(name));
const realWorkDone = async (): Promise<void> => {
  if (!isWorking()) return;
  for (let quiet = 0; quiet < REAL_QUIET_LOOKS; quiet = isWorking() ? 0 : quiet + 1) await realPause(REAL_LOOK_MS);
};

const makeRepository = (folder: string): string => {
  mkdirSync(folder, { recursive: true });
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=bench', '-c', 'user.email=bench@example.invalid', ...args], {
      cwd: folder,
      stdio: 'ignore',
    });
  git('init', '-q', '-b', 'main');
  writeFileSync(path.join(folder, 'README.md'), 'hello\n');
  git('add', '.');
  git('commit', '-qm', 'first');
  return folder;
};

/** Plays `durationMs` with somebody watching for `watchedShare` of it, in windows; returns what was used. */
export const playHour = async (durationMs: number, watchedShare: number): Promise<Counts> => {
  const root = mkdtempSync(path.join(tmpdir(), 'village-bench-cost-'));
  const clock = manualClock(Date.UTC(2026, 0, 1));
  const { db, units, items } = meteredDatabase();
  const counts: Counts = {
    ...{
      reads: 0,
      runnerMessages: 0,
      viewerMessages: 0,
      connectionMinutes: 0,
      gbSeconds: 0,
      httpRequests: 0,
      puts: 0,
      gets: 0,
      batches: 0,
    },
    invocations: {},
    database: units,
  };
  /** One invocation, billed for the calls that it waits for, one after the other; posts count as calls too. */
  let posts = 0;
  const invoke = async <T>(name: FunctionName, share: number, work: () => Promise<T>): Promise<T> => {
    const before = units.waits + posts;
    const result = await work();
    const ms = ASSUMED.lambdaBaseMs + (units.waits + posts - before) * ASSUMED.lambdaCallMs;
    counts.invocations[name] = (counts.invocations[name] ?? 0) + share;
    counts.gbSeconds += share * (ms / 1_000) * memoryGbOf(name);
    return result;
  };

  const sockets = new Map<string, SocketEvents>();
  const runnerSender = {
    post: async (connectionId: string, frame: ControlToRunnerFrame) => {
      const text = JSON.stringify(frame);
      posts += 1;
      counts.runnerMessages += unitsOf(text);
      const socket = sockets.get(connectionId);
      queueMicrotask(() => socket?.onText(text));
      return socket === undefined ? ('gone' as const) : ('sent' as const);
    },
  };
  const viewers = {
    post: async (_connectionId: string, frame: ControlToViewerFrame) => {
      posts += 1;
      counts.viewerMessages += unitsOf(JSON.stringify(frame));
      return 'sent' as const;
    },
  };
  const signingKey = async () => new TextEncoder().encode('k'.repeat(64));
  /** Of the many processes of a function each frame may meet another one: none remembers this session's last commit. */
  const sessions = { ...sessionStore(db, clock), remembered: () => null };
  const watchers = watcherStore({ db, sessions, clock });
  const runners = runnerLine({ db, sender: runnerSender, clock });
  const fakes = controlPlanePorts();
  const ports = {
    ...fakes,
    ...{ clock, random: systemRandom, db, sessions, watchers, runners, runnerSender, viewers, signingKey },
    fanOut: viewerFanOut({ watchers, viewers, runners, clock, epochOf: sessions.epochOf }),
    tenants: tenantStore(db, clock),
    builds: buildStore(db),
    runnerStore: runnerStore(db, clock),
    signer: jwtSigner({ key: signingKey, clock }),
    objects: {
      ...fakes.objects,
      putOnce: (...asked: Parameters<typeof fakes.objects.putOnce>) => {
        counts.puts += 1;
        return fakes.objects.putOnce(...asked);
      },
      getBytes: (...asked: Parameters<typeof fakes.objects.getBytes>) => {
        counts.gets += 1;
        return fakes.objects.getBytes(...asked);
      },
    },
    onError: (_ref: unknown, error: unknown) => {
      throw error;
    },
  };
  await ports.builds.put({
    buildId: 'bench',
    clis: { shell: 'system' },
    runnerVersion: '0.1.0',
    taskDefinitionArn: 'arn:aws:ecs:us-east-1:000000000000:task-definition/village-runner:7',
    status: 'ready',
    createdAt: new Date(clock.nowMs()).toISOString(),
  });
  const body = StartSessionBody.parse({
    provider: 'shell',
    repository: { url: makeRepository(path.join(root, 'repository')) },
  });
  const starter = { tenantId: TENANT, userId: 'ada', idempotencyKey: undefined };
  counts.httpRequests += 1;
  const meta = await invoke('api', 1, () => startSession(ports, starter, body));
  const ref = { tenantId: TENANT, sessionId: meta.config.sessionId };
  const scope = { ...ref, epoch: 1 };

  /** What follows a commit, for each segment that has come since. */
  const fannedOut = new Set<string>();
  const followCommits = async (): Promise<void> => {
    for (const image of items.all('events')) {
      const key = `${String(image.pk)} ${String(image.sk)}`;
      if (fannedOut.has(key)) continue;
      fannedOut.add(key);
      await invoke('fan-out-events', 1, () => fanOutEvents(ports, [image]));
    }
  };
  let dials = 0;
  /** Frames of one connection in order, as far as the gateway keeps any: the runner has one batch in flight. */
  let handling: Promise<void> = Promise.resolve();
  const openSocket = (_ticket: unknown, events: SocketEvents) => {
    const connectionId = `runner-${++dials}`;
    sockets.set(connectionId, events);
    for (const name of ['authorize-runner', 'runner-connection'] as const) void invoke(name, 1, async () => {});
    queueMicrotask(() => events.onOpen());
    return {
      send: (text: string, onSent: () => void) => {
        counts.runnerMessages += unitsOf(text);
        queueMicrotask(onSent);
        handling = handling.then(async () => {
          const frame = RunnerFrame.parse(JSON.parse(text));
          const reply = await invoke('runner-frames', 1, () =>
            handleRunnerFrame(ports, { kind: 'session', ...scope, connectionId }, frame),
          );
          await followCommits();
          if (reply?.type === 'ack') counts.batches += 1;
          if (reply === null) return;
          const answer = JSON.stringify(reply);
          counts.runnerMessages += unitsOf(answer);
          events.onText(answer);
        });
      },
      close: () => sockets.delete(connectionId),
      terminate: () => sockets.delete(connectionId),
    };
  };
  const { host, print } = standInHost();
  const { adapter, emit } = standInCli();
  const config = parseConfig(
    {
      CONTROL_PLANE_URL: 'http://127.0.0.1:1',
      CONTROL_PLANE_TOKEN: deriveStartToken(await signingKey(), scope),
      WORKSPACE_ROOT: path.join(root, 'work'),
      VILLAGE_STATE_DIR: path.join(root, 'state'),
      VILLAGE_PTY_SOCKET: path.join(root, 'none'),
      RUNNER_ID: 'bench',
    },
    () => 'bench',
  );
  if (config.kind === 'bad') throw new Error(config.lines.join('\n'));
  const put = async () => {
    counts.puts += 1;
    return { kind: 'answer' as const, status: 200 };
  };
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
      fetchCredentials: async (capability) => {
        counts.httpRequests += 1;
        const credentials = await invoke('runner-credentials', 1, () =>
          issueCredentials({ ...ports, modelKey: async () => null }, capability),
        );
        return { kind: 'ok', credentials };
      },
      put,
      putFile: put,
      adapters: { ...ADAPTERS, shell: adapter },
      gitEnvironment: { PATH: process.env.PATH ?? '', HOME: root },
      agentPath: process.env.PATH ?? '',
      allowsLocalRepositories: true,
    },
  });
  const over = runner.run();
  const passUntil = async (untilMs: number): Promise<void> => {
    while (clock.nowMs() < untilMs) {
      await clock.advance(Math.min(STEP_MS, untilMs - clock.nowMs()));
      await realWorkDone();
      await handling;
    }
  };
  const stateIs = async (wanted: string): Promise<void> => {
    const deadlineMs = performance.now() + RAN_OUT_MS;
    for (;;) {
      await clock.advance(50);
      await realPause();
      const state = items.all('sessions').find(({ sk }) => sk === 'META')?.state;
      if (state === wanted) return;
      if (performance.now() > deadlineMs || state === 'failed') throw new Error(`the session is ${String(state)}`);
    }
  };
  try {
    await stateIs('running');
    const startMs = clock.nowMs();
    const { reads, turns } = workHour(durationMs);
    const viewer = { connectionId: 'viewer-1', tenantId: TENANT, userId: 'ada' };
    const viewerSays = async (frame: object): Promise<void> => {
      const text = JSON.stringify(frame);
      counts.viewerMessages += unitsOf(text);
      const reply = await invoke('viewer-frames', 1, () =>
        handleViewerFrame(ports, viewer, ViewerFrame.parse(JSON.parse(text))),
      );
      if (reply !== null) counts.viewerMessages += unitsOf(JSON.stringify(reply));
    };
    const timeline: { atMs: number; run: () => void | Promise<void> }[] = reads.map(({ atMs, bytes }) => ({
      atMs,
      run: () => {
        counts.reads += 1;
        print(bytes);
      },
    }));
    turns.forEach((turn, index) => {
      const toolUseId = `tool-${index}`;
      const tool = { toolUseId, toolName: 'Edit' };
      timeline.push(
        { atMs: turn.startMs, run: () => emit({ type: 'TURN_STARTED', turn: index + 1, prompt: 'go on' }) },
        {
          atMs: (turn.startMs + turn.endMs) / 2,
          run: async () => {
            emit(
              { type: 'TOOL_REQUESTED', ...tool, summary: 'src/a.ts' },
              { type: 'TOOL_STARTED', ...tool, summary: 'src/a.ts' },
            );
            const folder = path.join(root, 'work', 'workspaces', ref.sessionId);
            writeFileSync(path.join(folder, `file-${index % 5}.txt`), `turn ${index}\n`.repeat(20));
            emit({ type: 'TOOL_FINISHED', ...tool, ok: true, tookMs: 20 });
            await realPause();
          },
        },
        {
          atMs: turn.endMs,
          run: () =>
            emit(
              { type: 'TURN_FINISHED', turn: index + 1, tookMs: turn.endMs - turn.startMs, outcome: 'done' },
              { type: 'PROVIDER_IDLE', turnsDone: index + 1 },
            ),
        },
      );
    });
    const windowMs = Math.round((durationMs * watchedShare) / WINDOWS);
    for (let index = 0; index < WINDOWS && windowMs > 0; index += 1) {
      const fromMs = Math.round((index * durationMs) / WINDOWS) + 20_000;
      const viewerId = `viewer-of-the-bench-${index}`;
      timeline.push({
        atMs: fromMs,
        run: async () => {
          counts.httpRequests += 1;
          counts.connectionMinutes += windowMs / 60_000;
          for (const name of ['authorize-viewer', 'viewer-connection', 'viewer-connection'] as const)
            void invoke(name, 1, async () => {});
          await viewerSays({
            ...{ type: 'attach', sessionId: ref.sessionId, viewerId, mode: 'watch', cols: 120, rows: 32 },
          });
        },
      });
      for (let atMs = fromMs + PING_INTERVAL_MS; atMs < fromMs + windowMs; atMs += PING_INTERVAL_MS)
        timeline.push({
          atMs,
          run: () => viewerSays({ type: 'ping', ts: 0, attached: [{ sessionId: ref.sessionId, viewerId }] }),
        });
      timeline.push({
        atMs: fromMs + windowMs,
        run: () => viewerSays({ type: 'detach', sessionId: ref.sessionId, viewerId }),
      });
    }
    // What a cell does each minute, this session's share of the invocation and its own calls.
    for (let atMs = 60_000; atMs <= durationMs; atMs += 60_000)
      timeline.push({
        atMs,
        run: () => {
          for (const name of ['reconcile', 'fill-warm-pool', 'archive-events'] as const)
            void invoke(name, 1 / ASSUMED.sessionsPerCell, async () => {});
          return invoke('reap', 1 / ASSUMED.sessionsPerCell, () => reap(ports)).then(() => {});
        },
      });
    timeline.sort((a, b) => a.atMs - b.atMs);
    for (const { atMs, run } of timeline) {
      await passUntil(startMs + atMs);
      await run();
    }
    counts.connectionMinutes += durationMs / 60_000;
    // The history's way into the archive, of a session that ends after this.
    await invoke('api', 1, () => setDesired(ports, ref, 'stop', 'ada'));
    await stateIs('completed');
    await clock.advance(ARCHIVE_AFTER_MS);
    await invoke('archive-events', 1 / ASSUMED.sessionsPerCell, () => archiveFinished(ports));
    return structuredClone(counts);
  } finally {
    runner.drain();
    const deadlineMs = performance.now() + RAN_OUT_MS;
    let isOver = false;
    void over.then(() => {
      isOver = true;
    });
    while (!isOver && performance.now() < deadlineMs) {
      await clock.advance(100);
      await realPause();
    }
    rmSync(root, { recursive: true, force: true });
  }
};
