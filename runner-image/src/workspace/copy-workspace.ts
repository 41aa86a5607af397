/** From a repository to its copy in a session's folder, through the mirror: behind the mirror's lock, or before anybody had to wait for it. */
import { GIT_CLONE_TIMEOUT_MS, MIRROR_LOCK_TIMEOUT_MS, REPOSITORY_PROBE_MS } from '../../../shared/limits.ts';
import { cloneMirror } from './clone-workspace.ts';
import type { EarlyCopy } from './early-copy.ts';
import type { GitCall, RunGit } from './git.ts';
import { failure, type WorkspaceFailure } from './git-failure.ts';
import type { SessionPaths } from './layout.ts';
import { type MirrorPaths, tidyMirror, updateMirror } from './mirror.ts';
import { type LockResult, lockMirror } from './mirror-lock.ts';
import type { WorkspaceContext } from './prepare-workspace.ts';
import { probeRemote, type RemoteFacts } from './remote-probe.ts';
import type { Source } from './repository-source.ts';
import { markSteady, type SteadyMirror, steadyMirror } from './steady-mirror.ts';

export interface CopyRun {
  readonly context: WorkspaceContext;
  readonly ref?: string;
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

const takeLock = ({ context, mirror }: CopyRun): Promise<LockResult> => {
  const { inherited, signal } = context;
  const timeoutMs = context.limits?.lockMs ?? MIRROR_LOCK_TIMEOUT_MS;
  return lockMirror({ path: mirror.lock, timeoutMs, inherited, ...(signal ? { signal } : {}) });
};

/** What a start that could not be copied early leaves to be done: nobody says of the mirror that it is steady. */
const settleMirror = async ({ mirror }: CopyRun, refsDigest: string | null): Promise<void> => {
  if (refsDigest !== null && (await steadyMirror(mirror.folder)) === null) await markSteady(mirror.folder, refsDigest);
};

/** Holds the lock until the mirror is as the next session wants it, which this one does not wait for. */
const copyThroughMirror = async (run: CopyRun, facts: RemoteFacts, locking: Promise<LockResult>) => {
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

const probe = ({ context, git, base, source, ref }: CopyRun): Promise<RemoteFacts | WorkspaceFailure> => {
  const limited = { ...base, timeoutMs: context.limits?.probeMs ?? REPOSITORY_PROBE_MS };
  return probeRemote(git, limited, source.fetchUrl, ref);
};

export interface Copied {
  readonly kind: 'copied';
  readonly facts: RemoteFacts;
  readonly mirror: 'cold' | 'warm';
  readonly isCheckedOut: boolean;
}

/** A mirror whose state nobody vouches for is copied behind its lock, which is asked for beside the remote. */
const copyBehindLock = async (
  run: CopyRun,
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

/** The mirror is copied already: what the remote says decides whether the copy counts. */
const takeEarly = async (run: CopyRun, { copy, steady }: BegunCopy): Promise<Copied | WorkspaceFailure> => {
  const facts = await probe(run);
  const isCurrent = facts.kind === 'found' && facts.refsDigest === steady.refsDigest;
  if (isCurrent && facts.target.kind !== 'commit' && (await copy.take(run.base.signal)))
    return { kind: 'copied', facts, mirror: 'warm', isCheckedOut: true };
  await copy.discard();
  return facts.kind === 'failed' ? facts : copyBehindLock(run, Promise.resolve(facts));
};

export interface BegunCopy {
  readonly copy: EarlyCopy;
  readonly steady: SteadyMirror;
}

/** Asks the remote, and brings what it has into the folder, which is absent or being filled by `begun`. */
export const copyWorkspace = (run: CopyRun, begun: BegunCopy | null): Promise<Copied | WorkspaceFailure> =>
  begun === null ? copyBehindLock(run, probe(run)) : takeEarly(run, begun);
