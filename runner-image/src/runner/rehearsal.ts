/**
 * A runner that waits to be claimed starts a shell session a few times for itself: then every module is compiled, every program it will
 * call is in memory, and the first start of a claimed session is as quick as a later one. Nothing of it leaves this machine.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type Clock, sleep } from '../../../shared/clock.ts';
import type { RunnerCredentials } from '../../../shared/http.ts';
import { REHEARSAL_MAX_MS } from '../../../shared/limits.ts';
import { SessionConfig } from '../../../shared/session.ts';
import type { RunnerConfig } from '../config.ts';
import { silentLog } from '../log.ts';
import { fetchCredentialsFrom } from '../session/credentials.ts';
import type { RuntimePorts } from '../session/ports.ts';
import { SessionRuntime } from '../session/session-runtime.ts';
import { runGit } from '../workspace/git.ts';
import type { SharedPorts } from './held-sessions.ts';
import { type RehearsalLine, readAssign, rehearsalLine } from './rehearsal-line.ts';

/** No session that is assigned has it: ids begin with the time. */
const SESSION_ID = `ses_${'0'.repeat(26)}`;
const LOOK_MS = 10;
/** The first one fetches its repository, the others have it; code that has run a few times is compiled. */
const REHEARSALS = 4;

/** One commit with one file, as `git fast-import` reads it. */
const COMMIT = [
  ...['commit refs/heads/main', 'committer rehearsal <rehearsal@example.invalid> 0 +0000', 'data 0'],
  ...['M 644 inline README.md', 'data 6', 'hello\n', ''],
].join('\n');

const makeRepository = async (folder: string, inherited: Readonly<Record<string, string>>): Promise<string> => {
  const repository = join(folder, 'origin');
  const base = { cwd: folder, home: folder, protocols: [], inherited };
  await runGit({
    ...base,
    args: ['init', '--quiet', '--bare', '--template=', '--initial-branch=main', '--', repository],
  });
  await runGit({ ...base, args: [`--git-dir=${repository}`, 'fast-import', '--quiet'], stdin: COMMIT });
  return repository;
};

/** Stands for the control plane on a loopback port: the first HTTP call of a process loads and compiles its whole client. */
const startCredentials = async (clock: Clock): Promise<{ readonly url: string; stop(): void }> => {
  const credentials: RunnerCredentials = {
    expiresAt: new Date(clock.nowMs() + 24 * 60 * 60_000).toISOString(),
    model: { kind: 'none' },
    repository: { token: null, username: null },
    inputs: {},
  };
  const server = createServer((_request, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(credentials)),
  );
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
};

const portsOf = (ports: SharedPorts, stateDir: string, credentialsUrl: string, line: RehearsalLine): RuntimePorts => ({
  ...ports,
  log: silentLog,
  stateDir,
  send: line.send,
  bufferedBytes: () => 0,
  onTick: () => {},
  fetchCredentials: fetchCredentialsFrom(credentialsUrl, ports.clock),
  allowsLocalRepositories: true,
});

interface Stage {
  readonly config: RunnerConfig;
  readonly ports: SharedPorts;
  readonly folder: string;
  readonly repository: string;
  readonly credentialsUrl: string;
}

const play = async ({ config, ports, folder, repository, credentialsUrl }: Stage, name: string): Promise<void> => {
  const { clock } = ports;
  const session = SessionConfig.parse({
    ...{ sessionId: SESSION_ID, tenantId: 'rehearsal', agentId: `agt_${'0'.repeat(26)}`, provider: 'shell' },
    ...{ buildId: config.VILLAGE_BUILD_ID, model: 'default', repository: { url: repository } },
  });
  const assign = { sessionId: SESSION_ID, epoch: 1, config: session, capability: 'rehearsal', taskDefinition: '' };
  readAssign({ type: 'assign', ...assign, checkpoint: null, ranMs: 0 });
  const line = rehearsalLine(assign);
  const runtime = new SessionRuntime({
    assign: { ...assign, checkpoint: null, ranMs: 0 },
    ports: portsOf(ports, join(folder, name), credentialsUrl, line),
    config: { ...config, WORKSPACE_ROOT: join(folder, 'work') },
    saved: null,
  });
  runtime.start();
  line.open((frame) => runtime.onFrame(frame));
  const untilMs = clock.monotonicMs() + REHEARSAL_MAX_MS;
  while (!line.hasShown && !runtime.isEnding && clock.monotonicMs() < untilMs) await sleep(clock, LOOK_MS);
  runtime.abort('rehearsal');
  await runtime.ended;
};

const playAll = async (config: RunnerConfig, ports: SharedPorts, folder: string): Promise<void> => {
  const credentials = await startCredentials(ports.clock);
  try {
    const repository = await makeRepository(folder, ports.gitEnvironment);
    const stage = { config, ports, folder, repository, credentialsUrl: credentials.url };
    for (let time = 0; time < REHEARSALS; time += 1) await play(stage, `state-${time}`);
  } finally {
    credentials.stop();
  }
};

/** Never rejects: a runner that could not rehearse serves its first session more slowly, that is all. */
export const rehearse = async (config: RunnerConfig, ports: SharedPorts): Promise<void> => {
  let folder: string | null = null;
  try {
    folder = await mkdtemp(join(config.VILLAGE_STATE_DIR, 'rehearsal-'));
    await playAll(config, ports, folder);
  } catch (error) {
    ports.log.warn('the rehearsal of a start failed', { error });
  } finally {
    if (folder !== null)
      await rm(folder, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 }).catch((error: unknown) =>
        ports.log.warn('the folder of the rehearsal cannot be removed', { error }),
      );
  }
};
