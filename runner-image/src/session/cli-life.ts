/** From a workspace to a CLI that takes prompts, started or taken up after a crash of the runner: stream, files, broker, gate, first prompt. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { RunnerCredentials } from '../../../shared/http.ts';
import type { ProviderSession } from '../adapters/contract.ts';
import { type ModelBroker, makeDummyKey, startModelBroker } from './model-access.ts';
import type { RuntimePorts } from './ports.ts';
import { composePrompt } from './prompt.ts';
import { adoptProvider, awaitReady, type ProviderStart, startProvider } from './provider-start.ts';
import type { Restored } from './restore-step.ts';
import type { SavedAgent } from './saved-session.ts';
import type { RuntimeOptions, SessionRuntime } from './session-runtime.ts';
import { sessionSecrets } from './session-secrets.ts';
import type { Workspace } from './workspace-step.ts';

export const privateDirOf = (ports: Pick<RuntimePorts, 'stateDir'>): string => join(ports.stateDir, 'private');

/** Starts the CLI in a workspace that is ready; returns when it takes prompts, has failed, or the session is ending. */
export const startCli = async (
  runtime: SessionRuntime,
  options: RuntimeOptions,
  credentials: RunnerCredentials,
  workspace: Pick<Workspace, 'path' | 'agentFolder'>,
  restored: Restored | null = null,
): Promise<void> => {
  const { core, agent } = runtime;
  const { assign, ports, config } = options;
  const dummyKey = makeDummyKey(ports.random);
  const { conversationId = null, scriptTurnsDone = 0, turnsDone = 0 } = restored?.progress ?? {};
  const fresh = { workspace: workspace.agentFolder, dummyKey, modelPort: null, scriptTurnsDone, provider: null };
  const saved: SavedAgent = { cliInstanceId: conversationId ?? randomUUID(), ...fresh };
  // With the state that needs it: after a crash the step is done again in this folder.
  agent.remember(saved);
  if (core.state !== 'starting_provider' && !core.move({ type: 'PREPARED' })) return;
  const broker = await surround(runtime, options, credentials, saved);
  if (broker === null || runtime.isEnding) return;
  const started = await startProvider({
    ...{ config, broker, session: assign.config, cliInstanceId: saved.cliInstanceId },
    ...(restored ? { before: { turnsDone, hasConversation: conversationId !== null } } : {}),
    ...placeOf(runtime, options, saved),
  });
  // After the CLI, which must not wait for git: what it does before is found by the diff.
  agent.openFiles(core, workspace.path);
  if (started.kind === 'started') core.freezer.setTarget(agent.terminal.process);
  await becomeReady(runtime, options, credentials, started);
};

/** Goes on with the CLI of a runner process before this one, which the terminal holds already. */
export const adoptCli = async (
  runtime: SessionRuntime,
  options: RuntimeOptions,
  credentials: RunnerCredentials,
  saved: SavedAgent & { readonly provider: NonNullable<SavedAgent['provider']> },
  places: { readonly clone: string; readonly cliVersion: string },
): Promise<void> => {
  const broker = await surround(runtime, options, credentials, saved);
  if (broker === null) return;
  runtime.agent.openFiles(runtime.core, places.clone);
  const adopted = await adoptProvider({
    ...{ broker, saved: saved.provider, cliVersion: places.cliVersion, cliInstanceId: saved.cliInstanceId },
    ...placeOf(runtime, options, saved),
  });
  await becomeReady(runtime, options, credentials, adopted);
};

const placeOf = ({ core, agent }: SessionRuntime, { assign, ports }: RuntimeOptions, { workspace }: SavedAgent) => ({
  adapter: ports.adapters[assign.config.provider],
  ports: agent.adapterPorts(core, workspace),
  workspace,
  privateDir: privateDirOf(ports),
  agentPath: ports.agentPath,
});

/** What the CLI finds around it: masks first, then terminal, and the model broker; `null` where it cannot be had. */
const surround = async (
  runtime: SessionRuntime,
  { assign, ports }: RuntimeOptions,
  credentials: RunnerCredentials,
  { dummyKey, workspace, modelPort, scriptTurnsDone }: SavedAgent,
): Promise<ModelBroker | null> => {
  const { core, agent } = runtime;
  const secrets = sessionSecrets(credentials, [dummyKey, assign.capability]);
  core.hide(secrets);
  runtime.people.setLive(await agent.openStream(core, secrets));
  const start = await startModelBroker({
    ...{ credentials, dummyKey, workspace, scriptTurnsDone, clock: ports.clock, model: assign.config.model },
    port: modelPort,
    refresh: () => ports.fetchCredentials(assign.capability),
    isHeld: () => core.freezer.isHeld,
    onScriptTurn: (turnsDone) => {
      agent.remember({ scriptTurnsDone: turnsDone });
      core.save();
    },
  });
  if (start.kind === 'port_taken') {
    runtime.failBoot({
      code: 'model_port_taken',
      message: `The runner process crashed, and port ${start.port} of its model broker was taken by another program.`,
      hint: 'Start the session again.',
    });
    return null;
  }
  agent.setBroker(start.broker);
  if (start.port !== modelPort) {
    agent.remember({ modelPort: start.port });
    core.save();
  }
  return start.broker;
};

const becomeReady = async (
  runtime: SessionRuntime,
  options: RuntimeOptions,
  credentials: RunnerCredentials,
  started: ProviderStart,
): Promise<void> => {
  const { core, agent } = runtime;
  if (started.kind === 'failed') return runtime.failBoot(started.reason);
  agent.setProvider(started.session);
  if (core.state === 'starting_provider') {
    if (!(await isProven(runtime, options, started.session))) return;
    runtime.becomeRunning();
  } else runtime.resumeRunning();
  options.ports.host.settled().catch((error: unknown) => options.ports.log.warn('pty-host was not told', { error }));
  await typePrompts(runtime, credentials);
};

const isProven = async (
  runtime: SessionRuntime,
  { ports }: RuntimeOptions,
  session: ProviderSession,
): Promise<boolean> => {
  const ended = new Promise<null>((resolve) => runtime.signal.addEventListener('abort', () => resolve(null)));
  const { agent } = runtime;
  const reason = await Promise.race([awaitReady(session, { clock: ports.clock, screenText: agent.screenText }), ended]);
  if (runtime.isEnding) return false;
  if (reason) runtime.failBoot(reason);
  return reason === null;
};

/** What was on its way when the runner crashed or an earlier epoch ended, then the prompt of the start if it is not. */
const typePrompts = async (runtime: SessionRuntime, credentials: RunnerCredentials): Promise<void> => {
  const { prompts } = runtime;
  await prompts.submitAgain();
  if (prompts.isFirstDone) return;
  const prompt = composePrompt(credentials.inputs);
  if (prompt === null) return;
  const result = await prompts.submit(prompt, 'first');
  if (result.kind === 'sent' || runtime.isEnding) return;
  const message = `The CLI did not take the prompt: ${result.reason}`.slice(0, 2_000);
  runtime.failBoot({ code: 'prompt_refused', message, hint: 'Start the session again.', step: 'starting_provider' });
};
