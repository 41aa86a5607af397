/** The start of a session, step by step: each step either leads on or ends the session with a reason that names it. */
import type { RunnerCredentials } from '../../../shared/http.ts';
import { renewLease } from '../workspace/lease.ts';
import { startCli } from './cli-life.ts';
import type { RuntimeOptions, SessionRuntime } from './session-runtime.ts';
import { repositoryAccess, sessionSecrets } from './session-secrets.ts';
import { type Workspace, withoutCredentials, workspaceStep } from './workspace-step.ts';

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
  // After a crash in this step it is done again.
  if (core.state !== 'preparing_workspace' && !core.move({ type: 'PREPARE' })) return null;
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
