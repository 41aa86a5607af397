/**
 * After a crash of the runner process: takes the session up where it was, in the same epoch. The CLI lived on under pty-host, its hooks ask
 * again, and pty-host knows what was typed; credentials are fetched again first, since without them nothing could be masked.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { sleep } from '../../../shared/clock.ts';
import type { RunnerCredentials } from '../../../shared/http.ts';
import { CREDENTIALS_RETRY_MS } from '../../../shared/limits.ts';
import { isFinal, type StateReason } from '../../../shared/session.ts';
import type { ListedProcess } from '../pty-host/client.ts';
import { removeWorkspace } from '../workspace/cleanup.ts';
import { sessionPaths } from '../workspace/layout.ts';
import { spoolFolder } from './agent.ts';
import { bootSession } from './boot.ts';
import { adoptCli, privateDirOf, startCli } from './cli-life.ts';
import type { Leaving } from './leaving.ts';
import type { RuntimePorts } from './ports.ts';
import type { SavedSession } from './saved-session.ts';
import type { Ending, RuntimeOptions, SessionRuntime } from './session-runtime.ts';
import { sessionSecrets } from './session-secrets.ts';

const LOST: StateReason = {
  code: 'runner_restarted',
  message: 'The runner process crashed, and the CLI could not be taken up again.',
  hint: 'Start the session again.',
};

/** Decides what becomes of a saved session. Never throws: what cannot go on is ended with a reason. */
export const resumeSession = (runtime: SessionRuntime, ports: RuntimePorts, saved: SavedSession): void => {
  const { log } = ports;
  log.warn('the runner was started again', { sessionId: saved.sessionId, state: saved.state });
  if (saved.isOver || isFinal(saved.state)) {
    runtime.deliverRest();
    return;
  }
  if (saved.state === 'running') runtime.typing.wait();
  const work = resume(runtime, runtime.options, saved).catch((error: unknown) => {
    log.error('the session could not be taken up again', { error });
    void runtime.end({ to: 'failed', reason: LOST });
  });
  runtime.takeUp(work);
};

const resume = async (runtime: SessionRuntime, options: RuntimeOptions, saved: SavedSession): Promise<void> => {
  const { agent } = runtime;
  const listed = (await options.ports.host.list()).find(({ id }) => id === agent.terminal.ptyId);
  if (listed) await takeInHand(runtime, saved, listed);
  const credentials = await fetchAgain(runtime, options);
  const ending = endingOf(saved);
  if (credentials === null || ending !== null || runtime.isEnding) {
    await openRest(runtime, options, saved, credentials, listed !== undefined);
    // Not awaited: the end waits for us. Without credentials the end was told already.
    if (ending) void runtime.end(ending);
    return;
  }
  await goOn(runtime, options, saved, credentials, listed);
};

/** Its processes can be held and killed from here on; what they print waits. A process that was held stays held while the reason stands. */
const takeInHand = async (runtime: SessionRuntime, saved: SavedSession, listed: ListedProcess): Promise<void> => {
  const { core, agent, typing } = runtime;
  const process = await agent.terminal.hold(listed);
  typing.restore(process.lanes);
  if (saved.state === 'paused_by_human') await core.freezer.set('pause', true);
  core.freezer.setTarget(process, listed.frozen);
};

/** `null` where the session ends: refused, or asked to meanwhile. An answer that does not come is waited for: the lease decides how long. */
const fetchAgain = async (
  runtime: SessionRuntime,
  { ports, assign }: RuntimeOptions,
): Promise<RunnerCredentials | null> => {
  for (;;) {
    const answer = await ports.fetchCredentials(assign.capability);
    if (answer.kind === 'ok') return answer.credentials;
    if (answer.kind === 'refused') {
      const { code, message } = answer;
      runtime.failBoot({ code, message: `After a crash of the runner: ${message}`, hint: 'Start the session again.' });
      return null;
    }
    if (runtime.isEnding) return null;
    ports.log.warn('the credentials cannot be had yet', { answer: answer.message });
    await sleep(ports.clock, CREDENTIALS_RETRY_MS);
  }
};

/** How a session ends that was ending when the runner crashed. */
const endingOf = ({ ending, leaving, state }: SavedSession): Ending | Leaving | null =>
  ending ??
  leaving ??
  (state === 'stopping' ? { to: 'completed', reason: { code: 'stopped', message: 'The session was stopped.' } } : null);

/** For the end: what is stored already, and what the CLI printed since, if it can be masked. */
const openRest = async (
  { agent, core, people }: SessionRuntime,
  { ports, assign }: RuntimeOptions,
  saved: SavedSession,
  credentials: RunnerCredentials | null,
  hasProcess: boolean,
): Promise<void> => {
  if (!hasProcess && !existsSync(spoolFolder(ports))) return;
  const own = [assign.capability, ...(saved.agent ? [saved.agent.dummyKey] : [])];
  const secrets = credentials ? sessionSecrets(credentials, own) : own;
  core.hide(secrets);
  people.setLive(await agent.openStream(core, secrets));
  if (credentials && hasProcess) await agent.terminal.port.adopt();
};

const goOn = async (
  runtime: SessionRuntime,
  options: RuntimeOptions,
  saved: SavedSession,
  credentials: RunnerCredentials,
  listed: ListedProcess | undefined,
): Promise<void> => {
  const { ports, config } = options;
  const clone = sessionPaths(config.WORKSPACE_ROOT, saved.sessionId).workspace;
  if (saved.state === 'created' || saved.state === 'preparing_workspace') {
    // Half a clone is worth nothing: the step is done again.
    await removeWorkspace(config.WORKSPACE_ROOT, saved.sessionId);
    return bootSession(runtime, options);
  }
  const { agent } = saved;
  if (agent && listed && agent.provider) {
    const { cliVersion } = saved;
    return adoptCli(runtime, options, credentials, { ...agent, provider: agent.provider }, { clone, cliVersion });
  }
  if (agent && !listed && saved.state === 'starting_provider' && saved.checkpoint !== null) {
    // What its checkpoint brought may have been touched by a CLI that is gone: another runner begins from it anew.
    runtime.giveBack('the runner crashed while the CLI was started again');
    return;
  }
  if (agent && !listed && saved.state === 'starting_provider') {
    await rm(privateDirOf(ports), { recursive: true, force: true });
    return startCli(runtime, options, credentials, { path: clone, agentFolder: agent.workspace });
  }
  await openRest(runtime, options, saved, credentials, listed !== undefined);
  void runtime.end({ to: 'failed', reason: LOST });
};
