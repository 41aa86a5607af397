/** The start of a session, step by step: each step either leads on or ends the session with a reason that names it. */
import { join } from 'node:path';
import type { RunnerCredentials } from '../../../shared/http.ts';
import { renewLease } from '../workspace/lease.ts';
import { makeDummyKey, startModelBroker } from './model-access.ts';
import type { RuntimePorts } from './ports.ts';
import { composePrompt } from './prompt.ts';
import { awaitReady, startProvider } from './provider-start.ts';
import type { RuntimeOptions, SessionRuntime } from './session-runtime.ts';
import { repositoryAccess, sessionSecrets } from './session-secrets.ts';
import { type Workspace, withoutCredentials, workspaceStep } from './workspace-step.ts';

export const privateDirOf = (ports: Pick<RuntimePorts, 'stateDir'>): string => join(ports.stateDir, 'private');

/** Returns when the session runs, has failed, or is ending; what it has made by then is the end's to remove. */
export const bootSession = async (runtime: SessionRuntime, options: RuntimeOptions): Promise<void> => {
  const credentials = await fetchFirst(runtime, options);
  if (credentials === null || runtime.isEnding) return;
  // Before git speaks, whose words may hold what it was given.
  runtime.core.hide(sessionSecrets(credentials, [options.assign.capability]));
  const workspace = await prepare(runtime, options, credentials);
  if (workspace === null || runtime.isEnding) return;
  await startCli(runtime, options, credentials, workspace);
};

const fetchFirst = async (
  runtime: SessionRuntime,
  { assign, ports }: RuntimeOptions,
): Promise<RunnerCredentials | null> => {
  const { core } = runtime;
  if (!core.move({ type: 'PREPARE' })) return null;
  runtime.desired.follow();
  const { repository } = assign.config;
  core.record({
    type: 'workspace_preparing',
    repository: withoutCredentials(repository.url),
    ref: repository.ref ?? null,
    step: 'preparing_workspace',
  });
  const answer = await ports.fetchCredentials(assign.capability, runtime.signal);
  if (answer.kind === 'ok') return answer.credentials;
  if (runtime.isEnding) return null;
  runtime.failBoot({
    code: answer.kind === 'refused' ? answer.code : 'credentials_unavailable',
    message: answer.message,
    hint: 'Start the session again; if it stays, check the model key and the control plane.',
    step: 'preparing_workspace',
  });
  return null;
};

const prepare = async (
  runtime: SessionRuntime,
  { assign, ports, config }: RuntimeOptions,
  credentials: RunnerCredentials,
): Promise<Workspace | null> => {
  const { core, signal } = runtime;
  const root = config.WORKSPACE_ROOT;
  await renewLease(root, {
    sessionId: assign.sessionId,
    runnerId: config.RUNNER_ID,
    renewedAtMs: ports.clock.nowMs(),
  });
  const { inputs, repository } = credentials;
  const step = await workspaceStep(ports, root, assign.config, inputs, repositoryAccess(repository), signal);
  if (runtime.isEnding) return null;
  if (step.kind === 'failed') {
    runtime.failBoot(step.reason);
    return null;
  }
  const { headCommit, branch, mirror, cloneMs } = step.workspace;
  core.setBaseCommit(headCommit);
  core.record({ type: 'workspace_ready', headCommit, branch, mirror, tookMs: cloneMs });
  return step.workspace;
};

const startCli = async (
  runtime: SessionRuntime,
  { assign, ports, config }: RuntimeOptions,
  credentials: RunnerCredentials,
  workspace: Workspace,
): Promise<void> => {
  const { core, agent } = runtime;
  if (!core.move({ type: 'PREPARED' })) return;
  const dummyKey = makeDummyKey(ports.random);
  const { inputs } = credentials;
  const secrets = sessionSecrets(credentials, [dummyKey, assign.capability]);
  core.hide(secrets);
  runtime.people.setLive(await agent.openStream(core, secrets));
  agent.openFiles(core, workspace.path);
  const broker = await startModelBroker({
    ...{ credentials, dummyKey, clock: ports.clock, model: assign.config.model },
    workspace: workspace.agentFolder,
    refresh: () => ports.fetchCredentials(assign.capability),
  });
  agent.setBroker(broker);
  if (runtime.isEnding) return;
  const adapterPorts = agent.adapterPorts(workspace.agentFolder);
  const started = await startProvider({
    ...{ config, broker, session: assign.config, ports: adapterPorts },
    adapter: ports.adapters[assign.config.provider],
    workspace: workspace.agentFolder,
    privateDir: privateDirOf(ports),
    agentPath: ports.agentPath,
  });
  if (started.kind === 'failed') {
    runtime.failBoot(started.reason);
    return;
  }
  agent.setProvider(started.session);
  core.freezer.setTarget(agent.terminal.process);
  const ended = new Promise<null>((resolve) => runtime.signal.addEventListener('abort', () => resolve(null)));
  const reason = await Promise.race([awaitReady(started.session, adapterPorts), ended]);
  if (runtime.isEnding) return;
  if (reason) {
    runtime.failBoot(reason);
    return;
  }
  runtime.becomeRunning();
  const prompt = composePrompt(inputs);
  if (prompt !== null) await submitFirst(runtime, prompt);
};

const submitFirst = async (runtime: SessionRuntime, prompt: string): Promise<void> => {
  const sizeBytes = Buffer.byteLength(prompt);
  const result = await runtime.submit(prompt);
  if (result.kind === 'sent') {
    runtime.core.record({ type: 'input_received', viewerId: null, sizeBytes, source: 'prompt' });
    return;
  }
  if (runtime.isEnding) return;
  const message = `The CLI did not take the prompt: ${result.reason}`.slice(0, 2_000);
  runtime.failBoot({ code: 'prompt_refused', message, hint: 'Start the session again.', step: 'starting_provider' });
};
