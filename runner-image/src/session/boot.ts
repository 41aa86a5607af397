/** The start of a session, step by step: each step either leads on or ends the session with a reason that names it. */
import { mkdir } from 'node:fs/promises';
import { sleep } from '../../../shared/clock.ts';
import type { RunnerCredentials } from '../../../shared/http.ts';
import { RESTORE_RETRY_MS } from '../../../shared/limits.ts';
import type { StateReason } from '../../../shared/session.ts';
import { rememberStartRefs } from '../checkpoint/agent-refs.ts';
import { removeWorkspace } from '../workspace/cleanup.ts';
import { sessionPaths } from '../workspace/layout.ts';
import { renewLease } from '../workspace/lease.ts';
import type { OpenedWorkspace } from '../workspace/prepare-workspace.ts';
import { startCli } from './cli-life.ts';
import { endProgramsOf } from './pty-programs.ts';
import { fetchStep, goneReason, type Restored, restoreStep } from './restore-step.ts';
import type { RuntimeOptions, SessionRuntime } from './session-runtime.ts';
import { repositoryAccess, sessionSecrets } from './session-secrets.ts';
import { openStep, type Workspace, withoutCredentials, workspaceStep } from './workspace-step.ts';

/** Returns when the session runs, has failed, or is ending; what it has made by then is the end's to remove. */
export const bootSession = async (runtime: SessionRuntime, options: RuntimeOptions): Promise<void> => {
  const fetching = fetchFirst(runtime, options);
  // Needs no credentials, and is done by the time they come. It is waited for also where the boot ends without them: nothing may follow
  // the end's own cleaning up.
  const [credentials, opened] = await allDone([fetching, openFirst(runtime, options)]);
  if (credentials === null || runtime.isEnding) {
    await opened?.discard();
    return;
  }
  // Before git speaks, whose words may hold what it was given.
  runtime.core.hide(sessionSecrets(credentials, [options.assign.capability]));
  const prepared = await prepare(runtime, options, credentials, opened);
  if (prepared === null || runtime.isEnding) return;
  if (prepared.restored) takeUpRestored(runtime, prepared.restored);
  await startCli(runtime, options, credentials, prepared.workspace, prepared.restored);
};

const takeUpRestored = (runtime: SessionRuntime, { progress, leftOut, lostConversation }: Restored): void => {
  runtime.prompts.restore(progress);
  const alert = (code: string, message: string): void =>
    runtime.core.record({ type: 'alert_raised', code, message: message.slice(0, 1_000) });
  if (leftOut.length > 0)
    alert('checkpoint_left_out', `Not in the checkpoint, and to be made again where needed: ${leftOut.join(', ')}`);
  if (lostConversation)
    alert('conversation_lost', 'The files are as they were; what was said is not in the checkpoint, and begins anew.');
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
  if (answer.kind === 'unreachable' && assign.checkpoint !== null) {
    runtime.giveBack(`the credentials could not be had: ${answer.message}`);
    return null;
  }
  runtime.failBoot({
    code: answer.kind === 'refused' ? answer.code : 'credentials_unavailable',
    message: answer.message,
    hint: 'Start the session again; if it stays, check the model key and the control plane.',
    step: 'preparing_workspace',
  });
  return null;
};

/** What may be otherwise in a minute, or on another machine: no reason to give up work that a checkpoint has. */
const PASSING = new Set(['host_unreachable', 'timeout', 'step_timeout', 'disk_full', 'checkpoint_unreachable']);

/** A session that goes on from a checkpoint is not failed by what passes: tried again here for a while, then elsewhere. */
const prepare = async (
  runtime: SessionRuntime,
  options: RuntimeOptions,
  credentials: RunnerCredentials,
  opened: OpenedWorkspace | null,
): Promise<Prepared | null> => {
  const { ports, assign } = options;
  let first = opened;
  for (const pauseMs of [...RESTORE_RETRY_MS, null]) {
    const done = await prepareOnce(runtime, options, credentials, first);
    first = null;
    if (runtime.isEnding) return null;
    if (done.kind === 'ready') return done;
    const isPassing = assign.checkpoint !== null && PASSING.has(done.reason.code);
    if (!isPassing) {
      runtime.failBoot(done.reason);
      return null;
    }
    ports.log.warn('the session cannot go on from its checkpoint yet', { reason: done.reason, pauseMs });
    if (pauseMs === null) runtime.giveBack(done.reason.message);
    else await sleep(ports.clock, pauseMs, runtime.signal).catch(() => undefined);
    if (runtime.isEnding) return null;
    await clearFolder(options);
  }
  return null;
};

/** Empties the folder, in which nothing of an earlier epoch runs on then, and begins to fill it where no checkpoint says with what. */
const openFirst = async (runtime: SessionRuntime, options: RuntimeOptions): Promise<OpenedWorkspace | null> => {
  const { assign, ports, config } = options;
  await clearFolder(options, endProgramsOf(ports.host, assign.sessionId, ports.log));
  if (assign.checkpoint !== null || runtime.isEnding) return null;
  return openStep(ports, config.WORKSPACE_ROOT, assign.config, assign.config.repository.ref, runtime.signal);
};

/** Says that the folder is this epoch's; what an earlier one left in it is over with it. */
const clearFolder = async ({ assign, ports, config }: RuntimeOptions, free = Promise.resolve()): Promise<void> => {
  const { WORKSPACE_ROOT: root, RUNNER_ID: runnerId } = config;
  const { sessionId, epoch } = assign;
  const { pool } = assign.config;
  const leased = renewLease(root, { sessionId, epoch, pool, runnerId, renewedAtMs: ports.clock.nowMs() });
  await allDone([leased, free.then(() => removeWorkspace(root, sessionId, { keepsLease: true }))]);
};

/** Like Promise.all, but what fails waits for the other: nothing may run on beside the end's own cleaning up. */
const allDone = async <One, Other>(work: readonly [Promise<One>, Promise<Other>]): Promise<[One, Other]> => {
  await Promise.allSettled(work);
  return Promise.all(work);
};

interface Prepared {
  readonly kind: 'ready';
  readonly workspace: Workspace;
  readonly restored: Restored | null;
}

const prepareOnce = async (
  runtime: SessionRuntime,
  { assign, ports, config }: RuntimeOptions,
  { inputs, repository }: RunnerCredentials,
  opened: OpenedWorkspace | null,
): Promise<Prepared | { readonly kind: 'failed'; readonly reason: StateReason }> => {
  const { core, signal } = runtime;
  const { WORKSPACE_ROOT: root } = config;
  const { sessionId } = assign;
  const fetched = await fetchStep(runtime.options, signal);
  if (fetched.kind === 'failed') return fetched;
  const baseCommit = fetched.checkpoint?.manifest.baseCommit ?? null;
  const access = repositoryAccess(repository);
  const step = await workspaceStep(ports, root, assign.config, inputs, access, signal, baseCommit, opened);
  if (step.kind === 'failed') return { kind: 'failed', reason: goneReason(step.reason, baseCommit) };
  const { headCommit, branch, mirror, cloneMs, path } = step.workspace;
  await rememberStartRefs(await scratchOf(root, sessionId), path);
  const restored = fetched.checkpoint
    ? await restoreStep(runtime.options, fetched.checkpoint, step.workspace, signal)
    : null;
  if (restored?.kind === 'failed') return restored;
  core.setBaseCommit(headCommit);
  core.record({
    type: 'workspace_ready',
    ...(restored?.head ?? { headCommit, branch }),
    ...{ mirror, tookMs: cloneMs },
  });
  return { kind: 'ready', workspace: step.workspace, restored };
};

const scratchOf = async (root: string, sessionId: string): Promise<string> => {
  const { scratch } = sessionPaths(root, sessionId);
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  return scratch;
};
