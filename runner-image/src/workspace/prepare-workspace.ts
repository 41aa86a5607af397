/** From an address to a folder an agent can work in: probe, mirror, independent clone, checkout; or a reason, and nothing left behind. */
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../../shared/clock.ts';
import { GIT_CLONE_TIMEOUT_MS } from '../../../shared/limits.ts';
import { checkoutTarget } from './clone-workspace.ts';
import { type BegunCopy, type CopyRun, copyWorkspace } from './copy-workspace.ts';
import { beginEarlyCopy, mayCopyEarly } from './early-copy.ts';
import { type RunGit, runGit } from './git.ts';
import { trustConfig } from './git-environment.ts';
import { failure, failureFromText, type WorkspaceFailure } from './git-failure.ts';
import { mirrorsFolder, type SessionPaths, scratchFolder, sessionPaths, workspacesFolder } from './layout.ts';
import { mirrorPaths } from './mirror.ts';
import { isRefName } from './remote-probe.ts';
import { authorizationOf, sourceOf } from './repository-source.ts';
import { parseRepositoryUrl, type RepositoryLocation, type RepositorySources } from './repository-url.ts';
import { steadyMirror } from './steady-mirror.ts';

/** What is known of a workspace before there are credentials. */
export interface WorkspacePlace {
  readonly sessionId: string;
  readonly tenantId: string;
  readonly url: string;
  /** Branch, tag or commit; the remote's HEAD when absent. */
  readonly ref?: string;
}

export interface WorkspaceAccess {
  /** Folder that must exist in the repository. */
  readonly roomPath?: string;
  /** Branch the agent works on; created at the ref. */
  readonly sessionBranch?: string;
  /** For https: read access to a private repository. Kept in memory only. */
  readonly token?: string;
  /** Who the token belongs to; `x-access-token` when absent. */
  readonly username?: string;
}

export type WorkspaceRequest = WorkspacePlace & WorkspaceAccess;

export interface WorkspaceContext {
  readonly root: string;
  readonly sources: RepositorySources;
  readonly clock: Clock;
  /** From `inheritedVariables(environment)`. */
  readonly inherited: Readonly<Record<string, string>>;
  readonly git?: RunGit;
  readonly signal?: AbortSignal;
  readonly limits?: { readonly probeMs?: number; readonly cloneMs?: number; readonly lockMs?: number };
}

export interface WorkspaceReady {
  readonly kind: 'ready';
  /** Absolute, the clone's top folder. */
  readonly path: string;
  readonly headCommit: string;
  readonly branch: string | null;
  /** From the request to the checkout, waiting for the mirror included. */
  readonly cloneMs: number;
  readonly mirror: 'cold' | 'warm';
}

export type WorkspaceResult = WorkspaceReady | WorkspaceFailure;

interface Opened {
  readonly kind: 'opened';
  /** Of the runner's git; removed with the last step. */
  readonly home: string;
  readonly location: Exclude<RepositoryLocation, { kind: 'unsupported' }>;
  readonly run: CopyRun;
  readonly begun: BegunCopy | null;
}

const isDiskFull = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** A mirror that nobody changes is copied from here on, whatever is still to be asked. */
const beginCopy = async (run: CopyRun): Promise<BegunCopy | null> => {
  const { git, base, context, ref, paths, mirror } = run;
  const steady = mayCopyEarly(ref) ? await steadyMirror(mirror.folder) : null;
  if (steady === null) return null;
  const copy = beginEarlyCopy({
    ...{ git, base, steady, mirrorFolder: mirror.folder, workspace: paths.workspace },
    timeoutMs: context.limits?.cloneMs ?? GIT_CLONE_TIMEOUT_MS,
    ...(ref === undefined ? {} : { ref }),
  });
  return { copy, steady };
};

const openIn = async (
  context: WorkspaceContext,
  place: WorkspacePlace,
  paths: SessionPaths,
  home: string,
): Promise<Opened | WorkspaceFailure> => {
  const location = parseRepositoryUrl(place.url, context.sources);
  if (location.kind === 'unsupported') return failure('unsupported_url', location.message, location.hint);
  const source = await sourceOf(context.root, location);
  if ('kind' in source) return source;
  const configFile = join(home, 'gitconfig');
  await writeFile(configFile, trustConfig(source.trusted), { mode: 0o600 });
  const base = {
    cwd: home,
    home,
    configFile,
    protocols: source.protocols,
    inherited: context.inherited,
    ...(context.signal ? { signal: context.signal } : {}),
  };
  const mirror = mirrorPaths(context.root, place.tenantId, source.fetchUrl);
  const { ref } = place;
  const run = {
    context,
    paths,
    git: context.git ?? runGit,
    source,
    mirror,
    base,
    ...(ref === undefined ? {} : { ref }),
  };
  return { kind: 'opened', home, location, run, begun: await beginCopy(run) };
};

/** Nobody waits for it where all went well: what is in it is no secret. */
const removeHome = async (home: string, isAwaited: boolean): Promise<void> => {
  const removed = rm(home, { recursive: true, force: true });
  if (isAwaited) await removed;
  else removed.catch(() => undefined);
};

const open = async (
  context: WorkspaceContext,
  place: WorkspacePlace,
  paths: SessionPaths,
): Promise<Opened | WorkspaceFailure> => {
  if (await exists(paths.workspace)) {
    return failure(
      'workspace_exists',
      'This session has a workspace already.',
      'Clean it up first, or resume the session.',
    );
  }
  let home: string | undefined;
  let result: Opened | WorkspaceFailure | undefined;
  try {
    const folders = [mirrorsFolder, workspacesFolder, scratchFolder].map((folder) => folder(context.root));
    await Promise.all(folders.map((folder) => mkdir(folder, { recursive: true, mode: 0o700 })));
    home = await mkdtemp(join(scratchFolder(context.root), '.home-'));
    result = await openIn(context, place, paths, home);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    result = failureFromText('No space left on device');
  } finally {
    if (home !== undefined && result?.kind !== 'opened') await removeHome(home, true);
  }
  return result;
};

type Finished = Omit<WorkspaceReady, 'cloneMs'> | WorkspaceFailure;

const finishClone = async (
  { run, location, begun }: Opened,
  context: WorkspaceContext,
  access: WorkspaceAccess,
): Promise<Finished> => {
  const { git, paths, source } = run;
  const { signal } = context;
  const authorization = authorizationOf(location, access);
  const base = { ...run.base, ...(authorization ? { authorization } : {}), ...(signal ? { signal } : {}) };
  const copied = await copyWorkspace({ ...run, context, base }, begun);
  if (copied.kind === 'failed') return copied;
  const { facts, mirror, isCheckedOut } = copied;
  const checked = await checkoutTarget({
    git,
    base,
    workspace: paths.workspace,
    mirrorFolder: run.mirror.folder,
    originUrl: source.fetchUrl,
    target: facts.target,
    timeoutMs: context.limits?.cloneMs ?? GIT_CLONE_TIMEOUT_MS,
    ...(access.roomPath === undefined ? {} : { roomPath: access.roomPath }),
    ...(access.sessionBranch === undefined ? {} : { sessionBranch: access.sessionBranch }),
    isCheckedOut,
  });
  if (checked.kind === 'failed') return checked;
  const { headCommit, branch } = checked;
  return { kind: 'ready', path: paths.workspace, headCommit, branch, mirror };
};

const finish = async (opened: Opened, context: WorkspaceContext, access: WorkspaceAccess): Promise<Finished> => {
  let result: Finished | undefined;
  try {
    result = await finishClone(opened, context, access);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    result = failureFromText('No space left on device');
  } finally {
    await removeHome(opened.home, result?.kind !== 'ready');
    if (result?.kind !== 'ready') await rm(opened.run.paths.workspace, { recursive: true, force: true });
  }
  return result;
};

const checkBranch = (branch: string | undefined): void => {
  if (branch !== undefined && !isRefName(branch))
    throw new Error(`not a branch name: ${JSON.stringify(branch.slice(0, 250))}`);
};

export interface OpenedWorkspace {
  /**
   * Fails within seconds for an address or branch that does not exist; on any failure the folder is gone again. Once. `signal` ends what
   * follows, in place of that of the opening.
   */
  finish(access: WorkspaceAccess, signal?: AbortSignal): Promise<WorkspaceResult>;
  /** Instead of `finish`: leaves nothing. Never rejects. */
  discard(): Promise<void>;
}

/** Begins `<root>/workspaces/<sessionId>` with what needs no credentials. Throws on a session id that was not validated before. */
export const openWorkspace = (context: WorkspaceContext, place: WorkspacePlace): OpenedWorkspace => {
  const paths = sessionPaths(context.root, place.sessionId);
  const opening = open(context, place, paths);
  // Heard of where it is waited for.
  opening.catch(() => undefined);
  return {
    async finish(access, signal) {
      checkBranch(access.sessionBranch);
      const startedMs = context.clock.monotonicMs();
      const opened = await opening;
      if (opened.kind === 'failed') return opened;
      const result = await finish(opened, signal ? { ...context, signal } : context, access);
      if (result.kind === 'failed') return result;
      return { ...result, cloneMs: Math.round(context.clock.monotonicMs() - startedMs) };
    },
    async discard() {
      const opened = await opening.catch(() => null);
      if (opened?.kind !== 'opened') return;
      await opened.begun?.copy.discard().catch(() => undefined);
      await removeHome(opened.home, true).catch(() => undefined);
    },
  };
};

/**
 * Prepares `<root>/workspaces/<sessionId>`. Fails within seconds for an address or branch that does not exist; on any
 * failure the folder is gone again. Throws on a session id or session branch that was not validated before.
 */
export const prepareWorkspace = async (
  context: WorkspaceContext,
  request: WorkspaceRequest,
): Promise<WorkspaceResult> => {
  checkBranch(request.sessionBranch);
  return openWorkspace(context, request).finish(request);
};
