/** Makes a session's own clone out of the mirror: nothing in it is shared with the mirror or with another session. */
import { GIT_CLONE_TIMEOUT_MS } from '../../../shared/limits.ts';
import type { GitCall, GitResult, RunGit } from './git.ts';
import { failure, failureFromResult, type WorkspaceFailure } from './git-failure.ts';
import type { RemoteTarget } from './remote-probe.ts';

export interface CloneRequest {
  readonly git: RunGit;
  readonly base: Omit<GitCall, 'args'>;
  readonly mirrorFolder: string;
  readonly workspace: string;
  readonly timeoutMs?: number;
}

export interface CheckoutRequest {
  readonly git: RunGit;
  readonly base: Omit<GitCall, 'args'>;
  readonly workspace: string;
  readonly originUrl: string;
  readonly target: RemoteTarget;
  readonly roomPath?: string;
  readonly sessionBranch?: string;
  readonly timeoutMs?: number;
}

export interface CheckedOut {
  readonly kind: 'checked_out';
  readonly headCommit: string;
  readonly branch: string | null;
}

const succeeded = (result: GitResult): boolean => result.kind === 'exited' && result.code === 0;

/** Copies the mirror. The caller holds the mirror's lock, since a fetch in between could repack what is being copied. */
export const cloneMirror = async (request: CloneRequest): Promise<WorkspaceFailure | null> => {
  const cloned = await request.git({
    ...request.base,
    protocols: ['file'],
    timeoutMs: request.timeoutMs ?? GIT_CLONE_TIMEOUT_MS,
    args: [
      ...['clone', '--quiet', '--no-hardlinks', '--no-checkout', '--template=', '--origin=origin'],
      ...['--', request.mirrorFolder, request.workspace],
    ],
  });
  return succeeded(cloned) ? null : failureFromResult(cloned);
};

/** Normal form of a room path, or `null` when it could leave the workspace or name git's own folder. */
export const normaliseRoom = (roomPath: string): string | null => {
  if (roomPath.startsWith('/') || /[\0\\]/.test(roomPath)) return null;
  const parts = roomPath.split('/').filter((part) => part !== '' && part !== '.');
  return parts.some((part) => part === '..' || part.toLowerCase() === '.git') ? null : parts.join('/');
};

const roomExists = async (request: CheckoutRequest, commit: string): Promise<boolean> => {
  if (request.roomPath === undefined) return true;
  const room = normaliseRoom(request.roomPath);
  if (room === null) return false;
  // The tree is asked, not the disk: a symbolic link in the repository is no room.
  const kind = await request.git({ ...request.base, args: ['cat-file', '-t', `${commit}:${room}`] });
  return succeeded(kind) && kind.kind === 'exited' && kind.stdout.toString().trim() === 'tree';
};

const revisionOf = (target: RemoteTarget): string => {
  if (target.kind === 'branch') return `refs/remotes/origin/${target.name}`;
  return target.kind === 'tag' ? `refs/tags/${target.name}` : target.prefix;
};

const checkoutArguments = (request: CheckoutRequest, commit: string): string[] => {
  if (request.sessionBranch !== undefined) return ['--no-track', '-B', request.sessionBranch, commit];
  const { target } = request;
  if (target.kind === 'branch') return ['--track', '-B', target.name, `refs/remotes/origin/${target.name}`];
  return ['--detach', commit];
};

/** Points `origin` at the real address and checks the target out. Runs before any agent has touched the clone. */
export const checkoutTarget = async (outer: CheckoutRequest): Promise<CheckedOut | WorkspaceFailure> => {
  const request = { ...outer, base: { ...outer.base, protocols: [], cwd: outer.workspace } };
  const run = (args: readonly string[], timeoutMs?: number) =>
    request.git({ ...request.base, args, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  const revision = `${revisionOf(request.target)}^{commit}`;
  const [pointed, parsed] = await Promise.all([
    run(['remote', 'set-url', '--', 'origin', request.originUrl]),
    run(['rev-parse', '--verify', '--quiet', '--end-of-options', revision]),
  ]);
  if (!succeeded(pointed)) return failureFromResult(pointed);
  if (parsed.kind !== 'exited') return failureFromResult(parsed);
  if (parsed.code !== 0) {
    return failure(
      'ref_not_found',
      'The repository has no such commit.',
      'Check the spelling, and that it was pushed.',
    );
  }
  const headCommit = parsed.stdout.toString().trim();
  if (!(await roomExists(request, headCommit))) {
    return failure(
      'room_not_found',
      `The repository has no folder "${request.roomPath?.slice(0, 250)}" at this commit.`,
      'Name a folder that exists in the repository, relative to its top.',
    );
  }
  const checked = await run(
    ['checkout', '--quiet', '--force', '--no-recurse-submodules', ...checkoutArguments(request, headCommit), '--'],
    request.timeoutMs ?? GIT_CLONE_TIMEOUT_MS,
  );
  if (!succeeded(checked)) return failureFromResult(checked);
  const branch = request.sessionBranch ?? (request.target.kind === 'branch' ? request.target.name : null);
  return { kind: 'checked_out', headCommit, branch };
};
