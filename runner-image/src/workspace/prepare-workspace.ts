/** From an address to a folder an agent can work in: probe, mirror, independent clone, checkout; or a reason, and nothing left behind. */
import { mkdir, mkdtemp, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { Clock } from '../../../shared/clock.ts';
import { GIT_CLONE_TIMEOUT_MS, MIRROR_LOCK_TIMEOUT_MS, REPOSITORY_PROBE_MS } from '../../../shared/limits.ts';
import { checkoutTarget, cloneMirror } from './clone-workspace.ts';
import { type GitCall, type RunGit, runGit } from './git.ts';
import { trustConfig } from './git-environment.ts';
import { failure, failureFromText, type WorkspaceFailure } from './git-failure.ts';
import { mirrorsFolder, type SessionPaths, scratchFolder, sessionPaths, workspacesFolder } from './layout.ts';
import { type MirrorPaths, mirrorPaths, tidyMirror, updateMirror } from './mirror.ts';
import { type LockResult, lockMirror } from './mirror-lock.ts';
import { isRefName, probeRemote, type RemoteFacts } from './remote-probe.ts';
import { parseRepositoryUrl, type RepositoryLocation, type RepositorySources } from './repository-url.ts';

export interface WorkspaceRequest {
  readonly sessionId: string;
  readonly tenantId: string;
  readonly url: string;
  /** Branch, tag or commit; the remote's HEAD when absent. */
  readonly ref?: string;
  /** Folder that must exist in the repository. */
  readonly roomPath?: string;
  /** Branch the agent works on; created at the ref. */
  readonly sessionBranch?: string;
  /** For https: read access to a private repository. Kept in memory only. */
  readonly token?: string;
  /** Who the token belongs to; `x-access-token` when absent. */
  readonly username?: string;
}

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
  /** From the call to the checkout, waiting for the mirror included. */
  readonly cloneMs: number;
  readonly mirror: 'cold' | 'warm';
}

export type WorkspaceResult = WorkspaceReady | WorkspaceFailure;

interface Source {
  /** What git fetches from. */
  readonly fetchUrl: string;
  readonly protocols: GitCall['protocols'];
  readonly trusted: readonly string[];
  readonly authorization?: NonNullable<GitCall['authorization']>;
}

const notThere = () =>
  failure(
    'repository_not_found',
    'There is no git repository at this path.',
    'Check the path; it must be on the machine of the runner.',
  );

const localSource = async (root: string, path: string): Promise<Source | WorkspaceFailure> => {
  let real: string;
  try {
    real = await realpath(path);
    if (!(await stat(real)).isDirectory()) return notThere();
  } catch {
    // Missing, unreadable or a loop of links: for the person it is the same.
    return notThere();
  }
  const realRoot = await realpath(root);
  if (real === realRoot || real.startsWith(realRoot + sep)) {
    return failure(
      'unsupported_url',
      'This path belongs to the runner itself.',
      'Name a repository outside the workspace root.',
    );
  }
  return { fetchUrl: real, protocols: ['file'], trusted: [real, join(real, '.git')] };
};

const sourceOf = async (
  root: string,
  location: Exclude<RepositoryLocation, { kind: 'unsupported' }>,
  { token, username = 'x-access-token' }: Pick<WorkspaceRequest, 'token' | 'username'>,
): Promise<Source | WorkspaceFailure> => {
  if (location.kind === 'local') return localSource(root, location.path);
  const credentials = token === undefined ? location.credentials : `${username}:${token}`;
  const header = credentials === null ? null : `Authorization: Basic ${Buffer.from(credentials).toString('base64')}`;
  return {
    fetchUrl: location.url,
    protocols: [location.protocol],
    trusted: [],
    ...(location.origin !== null && header !== null ? { authorization: { origin: location.origin, header } } : {}),
  };
};

interface Run {
  readonly context: WorkspaceContext;
  readonly request: WorkspaceRequest;
  readonly paths: SessionPaths;
  readonly git: RunGit;
  readonly source: Source;
  readonly mirror: MirrorPaths;
  readonly base: Omit<GitCall, 'args'>;
}

const lockFailure = (kind: 'timeout' | 'cancelled'): WorkspaceFailure =>
  kind === 'timeout'
    ? failure('timeout', 'Another session is still fetching this repository.', 'Try again in a minute.')
    : failure('cancelled', 'Preparing was stopped.', 'Start the session again if that was not meant.');

const takeLock = ({ context, mirror }: Run): Promise<LockResult> => {
  const { inherited, signal } = context;
  const timeoutMs = context.limits?.lockMs ?? MIRROR_LOCK_TIMEOUT_MS;
  return lockMirror({ path: mirror.lock, timeoutMs, inherited, ...(signal ? { signal } : {}) });
};

/** Holds the lock until the mirror is as the next session wants it, which this one does not wait for. */
const copyThroughMirror = async (run: Run, facts: RemoteFacts, locking: Promise<LockResult>) => {
  const { context, git, base, source, mirror } = run;
  const lock = await locking;
  if (lock.kind !== 'locked') return lockFailure(lock.kind);
  const { folder } = mirror;
  let tidying: Promise<void> = Promise.resolve();
  try {
    const timeoutMs = context.limits?.cloneMs ?? GIT_CLONE_TIMEOUT_MS;
    const fetch = { git, base, folder, url: source.fetchUrl, facts, timeoutMs };
    const clone = { git, base, mirrorFolder: folder, workspace: run.paths.workspace, timeoutMs };
    let updated = await updateMirror(fetch);
    let failed = updated.kind === 'failed' ? updated : await cloneMirror(clone);
    const isBroken = failed?.code === 'git_failed' || failed?.code === 'repository_not_found';
    if (isBroken && updated.kind === 'updated' && !updated.isChanged) {
      // It looked complete and is not: a fetch finds that out, and makes it anew.
      updated = await updateMirror({ ...fetch, facts: { ...facts, refsDigest: null } });
      failed = updated.kind === 'failed' ? updated : await cloneMirror(clone);
    }
    // A mirror that is not tidy is fetched into again, that is all.
    if (updated.kind === 'updated' && updated.isChanged)
      tidying = tidyMirror({ git, base: { ...base, cwd: folder }, folder }).catch(() => undefined);
    return failed ?? updated;
  } finally {
    void tidying.then(lock.release);
  }
};

const prepareClone = async (run: Run): Promise<Omit<WorkspaceReady, 'cloneMs'> | WorkspaceFailure> => {
  const { request, context, git, base } = run;
  const probe = { ...base, timeoutMs: context.limits?.probeMs ?? REPOSITORY_PROBE_MS };
  const probing = probeRemote(git, probe, run.source.fetchUrl, request.ref);
  const locking = takeLock(run);
  // Heard of where it is waited for; the probe's failure comes first.
  locking.catch(() => undefined);
  const facts = await probing;
  if (facts.kind === 'failed') {
    locking.then((lock) => (lock.kind === 'locked' ? lock.release() : undefined)).catch(() => undefined);
    return facts;
  }
  const copied = await copyThroughMirror(run, facts, locking);
  if (copied.kind === 'failed') return copied;
  const checked = await checkoutTarget({
    git,
    base,
    workspace: run.paths.workspace,
    mirrorFolder: run.mirror.folder,
    originUrl: run.source.fetchUrl,
    target: facts.target,
    timeoutMs: context.limits?.cloneMs ?? GIT_CLONE_TIMEOUT_MS,
    ...(request.roomPath === undefined ? {} : { roomPath: request.roomPath }),
    ...(request.sessionBranch === undefined ? {} : { sessionBranch: request.sessionBranch }),
  });
  if (checked.kind === 'failed') return checked;
  const { headCommit, branch } = checked;
  return { kind: 'ready', path: run.paths.workspace, headCommit, branch, mirror: copied.mirror };
};

const isDiskFull = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

const prepareIn = async (
  context: WorkspaceContext,
  request: WorkspaceRequest,
  paths: SessionPaths,
  home: string,
): Promise<Omit<WorkspaceReady, 'cloneMs'> | WorkspaceFailure> => {
  const location = parseRepositoryUrl(request.url, context.sources);
  if (location.kind === 'unsupported') return failure('unsupported_url', location.message, location.hint);
  const source = await sourceOf(context.root, location, request);
  if ('kind' in source) return source;
  const configFile = join(home, 'gitconfig');
  await writeFile(configFile, trustConfig(source.trusted), { mode: 0o600 });
  const base = {
    cwd: home,
    home,
    configFile,
    protocols: source.protocols,
    inherited: context.inherited,
    ...(source.authorization ? { authorization: source.authorization } : {}),
    ...(context.signal ? { signal: context.signal } : {}),
  };
  const mirror = mirrorPaths(context.root, request.tenantId, source.fetchUrl);
  return prepareClone({ context, request, paths, git: context.git ?? runGit, source, mirror, base });
};

/**
 * Prepares `<root>/workspaces/<sessionId>`. Fails within seconds for an address or branch that does not exist; on any
 * failure the folder is gone again. Throws on a session id or session branch that was not validated before.
 */
export const prepareWorkspace = async (
  context: WorkspaceContext,
  request: WorkspaceRequest,
): Promise<WorkspaceResult> => {
  const paths = sessionPaths(context.root, request.sessionId);
  if (request.sessionBranch !== undefined && !isRefName(request.sessionBranch)) {
    throw new Error(`not a branch name: ${JSON.stringify(request.sessionBranch.slice(0, 250))}`);
  }
  const startedMs = context.clock.monotonicMs();
  if (await exists(paths.workspace)) {
    return failure(
      'workspace_exists',
      'This session has a workspace already.',
      'Clean it up first, or resume the session.',
    );
  }
  let home: string | undefined;
  let result: Omit<WorkspaceReady, 'cloneMs'> | WorkspaceFailure | undefined;
  try {
    for (const folder of [mirrorsFolder, workspacesFolder, scratchFolder]) {
      await mkdir(folder(context.root), { recursive: true, mode: 0o700 });
    }
    home = await mkdtemp(join(scratchFolder(context.root), '.home-'));
    result = await prepareIn(context, request, paths, home);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    result = failureFromText('No space left on device');
  } finally {
    if (home !== undefined) {
      const removed = rm(home, { recursive: true, force: true });
      // Nobody waits for it where all went well: what is in it is no secret.
      if (result?.kind === 'ready') removed.catch(() => undefined);
      else await removed;
    }
    if (result?.kind !== 'ready') await rm(paths.workspace, { recursive: true, force: true });
  }
  if (result.kind === 'failed') return result;
  return { ...result, cloneMs: Math.round(context.clock.monotonicMs() - startedMs) };
};
