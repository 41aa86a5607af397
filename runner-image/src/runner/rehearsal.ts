/**
 * A runner that waits to be claimed starts a shell session once for itself: then every module is compiled, every program it will call is
 * in memory, and the first start of a claimed session is as quick as a later one. Nothing of it leaves this process.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../../shared/clock.ts';
import type { RunnerCredentials } from '../../../shared/http.ts';
import { REHEARSAL_MAX_MS } from '../../../shared/limits.ts';
import { SessionConfig } from '../../../shared/session.ts';
import type { RunnerConfig } from '../config.ts';
import { silentLog } from '../log.ts';
import type { RuntimePorts } from '../session/ports.ts';
import { SessionRuntime } from '../session/session-runtime.ts';
import { runGit } from '../workspace/git.ts';
import type { SharedPorts } from './held-sessions.ts';

/** No session that is assigned has it: ids begin with the time. */
const SESSION_ID = `ses_${'0'.repeat(26)}`;
const LOOK_MS = 10;

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

const portsOf = (ports: SharedPorts, folder: string): RuntimePorts => {
  const credentials: RunnerCredentials = {
    expiresAt: new Date(ports.clock.nowMs() + 24 * 60 * 60_000).toISOString(),
    model: { kind: 'none' },
    repository: { token: null, username: null },
    inputs: {},
  };
  return {
    ...ports,
    log: silentLog,
    stateDir: join(folder, 'state'),
    send: () => false,
    bufferedBytes: () => 0,
    onTick: () => {},
    fetchCredentials: async () => ({ kind: 'ok', credentials }),
    allowsLocalRepositories: true,
  };
};

const play = async (config: RunnerConfig, ports: SharedPorts, folder: string): Promise<void> => {
  const { clock, gitEnvironment } = ports;
  const session = SessionConfig.parse({
    ...{ sessionId: SESSION_ID, tenantId: 'rehearsal', agentId: `agt_${'0'.repeat(26)}`, provider: 'shell' },
    ...{ buildId: config.VILLAGE_BUILD_ID, model: 'default' },
    repository: { url: await makeRepository(folder, gitEnvironment) },
  });
  const assign = { sessionId: SESSION_ID, epoch: 1, config: session, capability: 'rehearsal', taskDefinition: '' };
  const runtime = new SessionRuntime({
    assign: { ...assign, checkpoint: null, ranMs: 0 },
    ports: portsOf(ports, folder),
    config: { ...config, WORKSPACE_ROOT: join(folder, 'work') },
    saved: null,
  });
  runtime.start();
  const untilMs = clock.monotonicMs() + REHEARSAL_MAX_MS;
  while (runtime.agent.headOffset === 0 && !runtime.isEnding && clock.monotonicMs() < untilMs)
    await sleep(clock, LOOK_MS);
  runtime.abort('rehearsal');
  await runtime.ended;
};

/** Never rejects: a runner that could not rehearse serves its first session more slowly, that is all. */
export const rehearse = async (config: RunnerConfig, ports: SharedPorts): Promise<void> => {
  const folder = await mkdtemp(join(config.VILLAGE_STATE_DIR, 'rehearsal-'));
  try {
    await play(config, ports, folder);
  } catch (error) {
    ports.log.warn('the rehearsal of a start failed', { error });
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
  }
};
