/** The real runner under the real pty-host against a small control plane, in folders of its own that go with it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { composeRunner } from '../../runner-image/src/compose-runner.ts';
import { parseConfig } from '../../runner-image/src/config.ts';
import { createLog } from '../../runner-image/src/log.ts';
import { connectPtyHost } from '../../runner-image/src/pty-host/client.ts';
import { startPtyServer } from '../../runner-image/src/pty-host/server.ts';
import { systemClock, systemRandom } from '../../shared/clock.ts';
import type { RunnerCredentials } from '../../shared/http.ts';
import type { RunnerPrincipal } from '../../shared/runner-credential.ts';
import { SessionConfig } from '../../shared/session.ts';
import { type FakeControlPlane, type FakeControlPlaneOptions, startFakeControlPlane } from '../fakes/control-plane.ts';

const PTY_HOST = fileURLToPath(new URL('../../runner-image/src/pty-host/main.ts', import.meta.url));
/** `name` is one letter or digit of a ULID. */
export const sessionIdOf = (name: string): string => `ses_01J0000000000000000000000${name}`;
export const SESSION_ID = sessionIdOf('A');
export const AGENT_ID = 'agt_01J0000000000000000000000A';

export interface RunningRunner extends Pick<Prepared, 'configOf'> {
  readonly control: FakeControlPlane;
  readonly root: string;
  readonly host: ChildProcess;
  readonly exited: Promise<number | null>;
  /** What pty-host and runner wrote. */
  log(): string;
  /** Pids of live processes that carry `text` in their environment. */
  processesWith(text: string): number[];
  /** Folders of sessions under the workspace root. */
  workspaces(): string[];
  runnerPid(): number;
}

const git = (cwd: string, ...args: string[]): void => {
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.invalid', '-c', 'init.defaultBranch=main'];
  execFileSync('git', [...identity, ...args], { cwd, stdio: 'ignore', env: { PATH: process.env.PATH, HOME: cwd } });
};

export const makeRepository = (folder: string): string => {
  mkdirSync(folder, { recursive: true });
  git(folder, 'init', '-q');
  writeFileSync(join(folder, 'README.md'), 'hello\n');
  git(folder, 'add', '.');
  git(folder, 'commit', '-qm', 'first');
  return folder;
};

/** Pids of live processes that carry `text` in their environment. */
export const pidsWith = (text: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        const isZombie = /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
        return !isZombie && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(text);
      } catch {
        // It ended while we looked.
        return false;
      }
    })
    .map(Number);

export interface RunnerSetup {
  /** Whom the runner's token names: one session unless told. */
  readonly kind?: RunnerPrincipal['kind'];
  readonly config?: Partial<SessionConfig>;
  readonly credentials?: Partial<RunnerCredentials>;
  readonly env?: Record<string, string>;
  /** The runner of the epoch before, which has ended: the session goes on from its checkpoint, in a state folder of its own. */
  readonly after?: Pick<Prepared, 'control' | 'root'> &
    Pick<NonNullable<FakeControlPlaneOptions['after']>, 'checkpoint' | 'ranMs' | 'refuseGets'>;
}

interface Prepared {
  /** Of one more session on the same repository. */
  readonly configOf: (name: string, more?: Partial<SessionConfig>) => SessionConfig;
  readonly control: FakeControlPlane;
  readonly root: string;
  readonly env: Record<string, string>;
}

/** A repository, a control plane and folders for one runner. */
const prepare = async (setup: RunnerSetup): Promise<Prepared> => {
  const { after } = setup;
  const root = after?.root ?? mkdtempSync(join(tmpdir(), 'runner-test-'));
  const repository = after ? join(root, 'origin') : makeRepository(join(root, 'origin'));
  const configOf = (name: string, more: Partial<SessionConfig> = {}): SessionConfig =>
    SessionConfig.parse({
      sessionId: sessionIdOf(name),
      tenantId: 'local',
      agentId: AGENT_ID,
      provider: 'shell',
      buildId: 'local',
      model: 'default',
      repository: { url: repository },
      ...more,
    });
  const control = await startFakeControlPlane({
    config: configOf('A', setup.config),
    kind: setup.kind ?? 'session',
    ...(after ? { after } : {}),
    credentials: {
      expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      model: { kind: 'none' },
      repository: { token: null, username: null },
      inputs: {},
      ...setup.credentials,
    },
  });
  const temporary = join(root, 'tmp');
  const home = join(root, 'home');
  for (const folder of [temporary, home]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: home,
    TMPDIR: temporary,
    CONTROL_PLANE_URL: control.url,
    CONTROL_PLANE_TOKEN: control.token,
    WORKSPACE_ROOT: join(root, 'village'),
    VILLAGE_STATE_DIR: join(root, after ? 'state-after' : 'state'),
    USAGE_TICK_INTERVAL_MS: '1000',
    LOG_LEVEL: 'debug',
    VILLAGE_DIE_WITH_PARENT: '1',
    ...setup.env,
  };
  return { configOf, control, root, env };
};

const workspacesOf = (root: string): string[] => {
  const folder = join(root, 'village', 'workspaces');
  return existsSync(folder) ? readdirSync(folder) : [];
};

/**
 * The same runner and pty-host without processes of their own around them: what a session does can then be measured for coverage.
 * `stop` must be called, also when a test fails.
 */
export const startRunnerInProcess = async (setup: RunnerSetup = {}) => {
  const { control, root, env, configOf } = await prepare(setup);
  const server = await startPtyServer(systemClock, systemRandom);
  const host = await connectPtyHost(server.socketPath);
  const parsed = parseConfig({ ...env, VILLAGE_PTY_SOCKET: server.socketPath }, () => 'runner-in-process');
  if (parsed.kind === 'bad') throw new Error(parsed.lines.join('\n'));
  let log = '';
  const runner = composeRunner(
    parsed.config,
    host,
    createLog(parsed.config.LOG_LEVEL, systemClock, (line) => {
      log = (log + line).slice(-200_000);
    }),
  );
  const exited = runner.run();
  return {
    control,
    configOf,
    root,
    exited,
    health: () => runner.health(),
    drain: () => runner.drain(),
    log: () => log,
    workspaces: () => workspacesOf(root),
    async stop() {
      // A session that a failed test left running ends before its folders go.
      runner.drain();
      await server.killAll(0);
      await exited;
      host.close();
      server.close();
      await control.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
};

/** `stop` must be called, also when a test fails: it ends everything and removes every folder. */
export const startRunner = async (setup: RunnerSetup = {}): Promise<RunningRunner & { stop(): Promise<void> }> => {
  const { control, root, env, configOf } = await prepare(setup);
  const host = spawn(process.execPath, [PTY_HOST], {
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = new Promise<number | null>((resolve) => host.once('exit', (code) => resolve(code)));
  let log = '';
  for (const stream of [host.stdout, host.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-200_000);
    });
  return {
    control,
    configOf,
    root,
    host,
    exited,
    log: () => log,
    processesWith: pidsWith,
    workspaces: () => workspacesOf(root),
    runnerPid: () => {
      const pid = pidsWith(`VILLAGE_STATE_DIR=${join(root, 'state')}`).find((candidate) =>
        readFileSync(`/proc/${candidate}/cmdline`, 'latin1').includes('runner-image/src/main.ts'),
      );
      if (pid === undefined) throw new Error('no runner process');
      return pid;
    },
    async stop() {
      host.stdin.destroy();
      await exited;
      await control.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
};
