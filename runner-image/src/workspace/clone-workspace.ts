/** Makes a session's own clone out of the mirror: nothing in it is shared with the mirror or with another session. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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
  /** Checked out at once: the branch, or the mirror's HEAD. Nothing is, where this is left out. */
  readonly checkout?: { readonly branch: string | null };
}

export interface CheckoutRequest {
  readonly git: RunGit;
  readonly base: Omit<GitCall, 'args'>;
  readonly workspace: string;
  /** What it was cloned from. */
  readonly mirrorFolder: string;
  readonly originUrl: string;
  readonly target: RemoteTarget;
  readonly roomPath?: string;
  readonly sessionBranch?: string;
  readonly timeoutMs?: number;
  /** The copy may have been checked out already, and is looked at first. */
  readonly isCheckedOut?: boolean;
}

export interface CheckedOut {
  readonly kind: 'checked_out';
  readonly headCommit: string;
  readonly branch: string | null;
}

const succeeded = (result: GitResult): boolean => result.kind === 'exited' && result.code === 0;

/** Copies the mirror. A fetch meanwhile could repack what is being copied: the caller holds the lock, or looks afterwards. */
export const cloneMirror = async (request: CloneRequest): Promise<WorkspaceFailure | null> => {
  const { checkout } = request;
  const named = checkout && checkout.branch !== null ? [`--branch=${checkout.branch}`] : [];
  const cloned = await request.git({
    ...request.base,
    protocols: ['file'],
    timeoutMs: request.timeoutMs ?? GIT_CLONE_TIMEOUT_MS,
    args: [
      ...['clone', '--quiet', '--no-hardlinks', '--template=', '--origin=origin', '--no-recurse-submodules'],
      ...(checkout ? named : ['--no-checkout']),
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

type Run = (args: readonly string[], timeoutMs?: number) => Promise<GitResult>;

/** As git writes a value that may hold anything but a line's end. */
const configValue = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;

/** The clone names the mirror it was made from, which the agent must not know of. Written by us where that is sure to be right: it is quicker. */
const pointOrigin = async (request: CheckoutRequest, run: Run): Promise<WorkspaceFailure | null> => {
  const { mirrorFolder, originUrl, workspace } = request;
  const file = join(workspace, '.git', 'config');
  const config = await readFile(file, 'utf8');
  const named = `\turl = ${mirrorFolder}\n`;
  if (config.split(named).length === 2 && !/[\r\n\0]/.test(originUrl)) {
    await writeFile(
      file,
      config.replace(named, () => `\turl = ${configValue(originUrl)}\n`),
    );
    return null;
  }
  const pointed = await run(['remote', 'set-url', '--', 'origin', originUrl]);
  return succeeded(pointed) ? null : failureFromResult(pointed);
};

/** The commit of a branch of a fresh clone, which git has packed; `null` where it must be asked. */
const packedCommit = async ({ workspace, target }: CheckoutRequest): Promise<string | null> => {
  if (target.kind !== 'branch') return null;
  const packed = await readFile(join(workspace, '.git', 'packed-refs'), 'utf8').catch(() => '');
  const line = packed.split('\n').find((text) => text.endsWith(` ${revisionOf(target)}`));
  return line?.slice(0, line.indexOf(' ')) ?? null;
};

/** Where the checkout begins, and that the room is there. */
const startOf = async (
  request: CheckoutRequest,
  run: Run,
): Promise<{ readonly kind: 'commit'; readonly commit: string } | WorkspaceFailure> => {
  let commit = await packedCommit(request);
  if (commit === null) {
    const revision = `${revisionOf(request.target)}^{commit}`;
    const parsed = await run(['rev-parse', '--verify', '--quiet', '--end-of-options', revision]);
    if (parsed.kind !== 'exited') return failureFromResult(parsed);
    if (parsed.code !== 0)
      return failure(
        'ref_not_found',
        'The repository has no such commit.',
        'Check the spelling, and that it was pushed.',
      );
    commit = parsed.stdout.toString().trim();
  }
  if (await roomExists(request, commit)) return { kind: 'commit', commit };
  return failure(
    'room_not_found',
    `The repository has no folder "${request.roomPath?.slice(0, 250)}" at this commit.`,
    'Name a folder that exists in the repository, relative to its top.',
  );
};

/** The target's branch stands at the commit and is checked out. */
const isAtTarget = async (request: CheckoutRequest, commit: string): Promise<boolean> => {
  const { isCheckedOut, sessionBranch, target, workspace } = request;
  if (isCheckedOut !== true || sessionBranch !== undefined || target.kind !== 'branch') return false;
  const read = (path: string) => readFile(join(workspace, '.git', path), 'utf8').catch(() => '');
  const [head, branch] = await Promise.all([read('HEAD'), read(`refs/heads/${target.name}`)]);
  return head === `ref: refs/heads/${target.name}\n` && branch === `${commit}\n`;
};

/** Points `origin` at the real address and checks the target out. Runs before any agent has touched the clone. */
export const checkoutTarget = async (outer: CheckoutRequest): Promise<CheckedOut | WorkspaceFailure> => {
  const request = { ...outer, base: { ...outer.base, protocols: [], cwd: outer.workspace } };
  const run = (args: readonly string[], timeoutMs?: number) =>
    request.git({ ...request.base, args, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  const pointed = await pointOrigin(request, run);
  if (pointed !== null) return pointed;
  const start = await startOf(request, run);
  if (start.kind === 'failed') return start;
  if (!(await isAtTarget(request, start.commit))) {
    const checked = await run(
      ['checkout', '--quiet', '--force', '--no-recurse-submodules', ...checkoutArguments(request, start.commit), '--'],
      request.timeoutMs ?? GIT_CLONE_TIMEOUT_MS,
    );
    if (!succeeded(checked)) return failureFromResult(checked);
  }
  const branch = request.sessionBranch ?? (request.target.kind === 'branch' ? request.target.name : null);
  return { kind: 'checked_out', headCommit: start.commit, branch };
};
