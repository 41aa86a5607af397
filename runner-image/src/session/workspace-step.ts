/** The boot step that ends with a folder to work in, or with a reason within its limit. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { BOOT_LIMITS_MS } from '../../../shared/limits.ts';
import type { SessionConfig, SessionInputs, StateReason } from '../../../shared/session.ts';
import type { OpenedWorkspace, WorkspaceContext, WorkspaceReady } from '../workspace/prepare-workspace.ts';
import { openWorkspace } from '../workspace/prepare-workspace.ts';
import { timeoutReason, within } from './boot-limit.ts';
import type { RuntimePorts } from './ports.ts';
import type { repositoryAccess } from './session-secrets.ts';

export interface Workspace extends WorkspaceReady {
  /** Real path of the folder the agent starts in: the clone, or its room. */
  readonly agentFolder: string;
}

export type WorkspaceStep =
  | { readonly kind: 'ready'; readonly workspace: Workspace }
  | { readonly kind: 'failed'; readonly reason: StateReason };

/** An address without the user and password that may be in it. */
export const withoutCredentials = (url: string): string => url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@\s]*@/i, '$1');

const contextOf = (ports: RuntimePorts, root: string, signal: AbortSignal): WorkspaceContext => {
  const isLocal = ports.allowsLocalRepositories;
  const sources = { local: isLocal, loopbackHttp: isLocal };
  return { root, sources, clock: ports.clock, inherited: ports.gitEnvironment, signal };
};

/** Begins what needs no credentials: of a repository that is known here, most of the step. */
export const openStep = (
  ports: RuntimePorts,
  root: string,
  { repository, sessionId, tenantId }: SessionConfig,
  ref: string | undefined,
  signal: AbortSignal,
): OpenedWorkspace =>
  openWorkspace(contextOf(ports, root, signal), {
    ...{ sessionId, tenantId, url: repository.url },
    ...(ref === undefined ? {} : { ref }),
  });

export const workspaceStep = async (
  ports: RuntimePorts,
  root: string,
  session: SessionConfig,
  inputs: SessionInputs,
  access: ReturnType<typeof repositoryAccess>,
  signal: AbortSignal,
  /** The commit that a checkpoint is told against: branch and room are then what the checkpoint says. */
  baseCommit: string | null,
  /** By `openStep`, at the ref of the session. */
  opened: OpenedWorkspace | null,
): Promise<WorkspaceStep> => {
  const { repository } = session;
  const roomPath = inputs.task?.roomPath ?? repository.roomPath;
  const branch = baseCommit === null ? inputs.task?.branch : undefined;
  const ref = baseCommit ?? repository.ref;
  const limitMs = BOOT_LIMITS_MS.preparing_workspace;
  const late = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
  const work = (opened ?? openStep(ports, root, session, ref, late)).finish(
    {
      ...(roomPath === undefined ? {} : { roomPath }),
      ...(branch === undefined ? {} : { sessionBranch: branch }),
      ...(access ?? {}),
    },
    late,
  );
  const step = 'preparing_workspace';
  // Cancelled work needs a moment to remove what it made.
  const limited = await within(ports.clock, limitMs + 10_000, work);
  if (limited.kind === 'timeout') return { kind: 'failed', reason: timeoutReason(step) };
  const result = limited.value;
  if (result.kind === 'failed') {
    if (result.code === 'cancelled' && !signal.aborted) return { kind: 'failed', reason: timeoutReason(step) };
    const { code, message, hint } = result;
    return { kind: 'failed', reason: { code, message, hint, step } };
  }
  const agentFolder = await realpath(join(result.path, roomPath ?? ''));
  return { kind: 'ready', workspace: { ...result, agentFolder } };
};
