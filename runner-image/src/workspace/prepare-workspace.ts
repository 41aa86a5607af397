/** From an address to a folder an agent can work in: probe, mirror, independent clone, checkout; or a reason, and nothing left behind. */
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../../shared/clock.ts';
import { GIT_CLONE_TIMEOUT_MS, MIRROR_LOCK_TIMEOUT_MS, REPOSITORY_PROBE_MS } from '../../../shared/limits.ts';
import { checkoutTarget, cloneMirror } from './clone-workspace.ts';
import { beginEarlyCopy, mayCopyEarly } from './early-copy.ts';
import { type GitCall, type RunGit, runGit } from './git.ts';
import { trustConfig } from './git-environment.ts';
import { failure, failureFromText, type WorkspaceFailure } from './git-failure.ts';
import { mirrorsFolder, type SessionPaths, scratchFolder, sessionPaths, workspacesFolder } from './layout.ts';
import { type MirrorPaths, mirrorPaths, tidyMirror, updateMirror } from './mirror.ts';
import { type LockResult, lockMirror } from './mirror-lock.ts';
import { isRefName, probeRemote, type RemoteFacts } from './remote-probe.ts';
import { type Source, sourceOf } from './repository-source.ts';
import { parseRepositoryUrl, type RepositorySources } from './repository-url.ts';
import { markSteady, type SteadyMirror, steadyMirror } from './steady-mirror.ts';

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

/** What a start that could not be copied early leaves to be done: nobody says of the mirror that it is steady. */
const settleMirror = async ({ mirror }: Run, refsDigest: string | null): Promise<void> => {
  if (refsDigest !== null && (await steadyMirror(mirror.folder)) === null) await markSteady(mirror.folder, refsDigest);
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
    else if (failed === null) tidying = settleMirror(run, facts.refsDigest).catch(() => undefined);
    return failed ?? updated;
  } finally {
    void tidying.then(lock.release);
  }
};

const probe = ({ context, git, base, source, request }: Run): Promise<RemoteFacts | WorkspaceFailure> => {
  const limited = { ...base, timeoutMs: context.limits?.probeMs ?? REPOSITORY_PROBE_MS };
  return probeRemote(git, limited, source.fetchUrl, request.ref);
};

interface Copied {
  readonly kind: 'copied';
  readonly facts: RemoteFacts;
  readonly mirror: 'cold' | 'warm';
  readonly isCheckedOut: boolean;
}

/** A mirror whose state nobody vouches for is copied behind its lock, which is asked for beside the remote. */
const copyBehindLock = async (
  run: Run,
  probing: Promise<RemoteFacts | WorkspaceFailure>,
): Promise<Copied | WorkspaceFailure> => {
  const locking = takeLock(run);
  // Heard of where it is waited for; the probe's failure comes first.
  locking.catch(() => undefined);
  const facts = await probing;
  if (facts.kind === 'failed') {
    locking.then((lock) => (lock.kind === 'locked' ? lock.release() : undefined)).catch(() => undefined);
    return facts;
  }
  const copied = await copyThroughMirror(run, facts, locking);
  return copied.kind === 'failed' ? copied : { kind: 'copied', facts, mirror: copied.mirror, isCheckedOut: false };
};

/** Copies the mirror while the remote is asked; what it says decides whether the copy counts. */
const copyEarly = async (run: Run, steady: SteadyMirror): Promise<Copied | WorkspaceFailure> => {
  const { git, base, context, request } = run;
  const early = beginEarlyCopy({
    ...{ git, base, steady, mirrorFolder: run.mirror.folder, workspace: run.paths.workspace },
    timeoutMs: context.limits?.cloneMs ?? GIT_CLONE_TIMEOUT_MS,
    ...(request.ref === undefined ? {} : { ref: request.ref }),
    ...(request.sessionBranch === undefined ? {} : { sessionBranch: request.sessionBranch }),
  });
  const facts = await probe(run);
  const isCurrent = facts.kind === 'found' && facts.refsDigest === steady.refsDigest;
  if (isCurrent && facts.target.kind !== 'commit' && (await early.take()))
    return { kind: 'copied', facts, mirror: 'warm', isCheckedOut: true };
  await early.discard();
  return facts.kind === 'failed' ? facts : copyBehindLock(run, Promise.resolve(facts));
};

const prepareClone = async (run: Run): Promise<Omit<WorkspaceReady, 'cloneMs'> | WorkspaceFailure> => {
  const { request, context, git, base } = run;
  const steady = mayCopyEarly(request.ref) ? await steadyMirror(run.mirror.folder) : null;
  const copied = await (steady === null ? copyBehindLock(run, probe(run)) : copyEarly(run, steady));
  if (copied.kind === 'failed') return copied;
  const { facts, mirror, isCheckedOut } = copied;
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
    isCheckedOut,
  });
  if (checked.kind === 'failed') return checked;
  const { headCommit, branch } = checked;
  return { kind: 'ready', path: run.paths.workspace, headCommit, branch, mirror };
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
    const folders = [mirrorsFolder, workspacesFolder, scratchFolder].map((folder) => folder(context.root));
    await Promise.all(folders.map((folder) => mkdir(folder, { recursive: true, mode: 0o700 })));
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
