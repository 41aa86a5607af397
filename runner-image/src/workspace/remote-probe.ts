/** Asks a repository what it has before anything is copied: a wrong address or branch must fail in seconds. */
import { createHash } from 'node:crypto';
import { REPOSITORY_PROBE_MS } from '../../../shared/limits.ts';
import type { GitCall, RunGit } from './git.ts';
import { failure, failureFromResult, type WorkspaceFailure } from './git-failure.ts';

/** What the requested ref is on the remote. */
export type RemoteTarget =
  | { readonly kind: 'branch'; readonly name: string; readonly objectId: string }
  | { readonly kind: 'tag'; readonly name: string; readonly objectId: string }
  /** A name only the fetched history can tell. */
  | { readonly kind: 'commit'; readonly prefix: string };

export interface RemoteFacts {
  readonly kind: 'found';
  readonly target: RemoteTarget;
  /** Short name; `null` when the remote's HEAD is detached or dangling. */
  readonly defaultBranch: string | null;
  /** 40 characters for sha1, 64 for sha256. */
  readonly objectIdChars: number;
  /** Of all branches and tags and the default branch; `null` when there are too many to be listed. */
  readonly refsDigest: string | null;
}

const REF_NAME = /^(?![-/.])(?!.*(?:\.\.|@\{|\/\/|\/\.|\.lock(?:\/|$)))[^\s~^:?*[\\\x7f]+(?<![/.])$/;
const COMMIT = /^[0-9a-f]{7,64}$/;

/** A branch or tag name git would accept; anything else must not reach a refspec. */
export const isRefName = (name: string): boolean =>
  name.length <= 250 && name !== '@' && REF_NAME.test(name) && [...name].every((character) => character > ' ');

/** Could be the name of a commit, whole or short. */
export const isCommitName = (ref: string): boolean => COMMIT.test(ref);

const noSuchRef = (ref: string): WorkspaceFailure =>
  failure(
    'ref_not_found',
    `The repository has no branch, tag or commit "${ref.slice(0, 250)}".`,
    'Check the spelling, and that it was pushed.',
  );

interface Refs {
  readonly objectIds: ReadonlyMap<string, string>;
  readonly head: string | null;
}

const readRefs = (text: string): Refs => {
  const objectIds = new Map<string, string>();
  let head: string | null = null;
  for (const line of text.split('\n')) {
    const [left, name] = line.split('\t');
    if (left === undefined || name === undefined) continue;
    if (left.startsWith('ref: ')) {
      if (name === 'HEAD') head = left.slice('ref: '.length);
    } else objectIds.set(name, left);
  }
  return { objectIds, head };
};

/** Same for a remote and for a mirror that holds exactly what it has. `head`: the whole name of the default branch. */
export const digestOfRefs = (
  refs: Iterable<readonly [name: string, objectId: string]>,
  head: string | null,
): string => {
  const lines = [...refs].map(([name, objectId]) => `${objectId} ${name}`).sort();
  return createHash('sha256')
    .update(`${head ?? ''}\n${lines.join('\n')}`)
    .digest('hex');
};

const isBranchOrTag = ([name]: readonly [string, string]): boolean =>
  /^refs\/(heads|tags)\//.test(name) && !name.endsWith('^{}');

const shortName = (ref: string, prefix: string): string => (ref.startsWith(prefix) ? ref.slice(prefix.length) : ref);

const targetOf = (refs: Refs, ref: string | undefined): RemoteTarget | null => {
  if (ref === undefined) {
    const objectId = refs.objectIds.get('HEAD');
    if (objectId === undefined) return null;
    return refs.head?.startsWith('refs/heads/')
      ? { kind: 'branch', name: shortName(refs.head, 'refs/heads/'), objectId }
      : { kind: 'commit', prefix: objectId };
  }
  const branch = shortName(ref, 'refs/heads/');
  const branchId = refs.objectIds.get(`refs/heads/${branch}`);
  if (branchId !== undefined) return { kind: 'branch', name: branch, objectId: branchId };
  const tag = shortName(ref, 'refs/tags/');
  const tagId = refs.objectIds.get(`refs/tags/${tag}`);
  if (tagId !== undefined) return { kind: 'tag', name: tag, objectId: tagId };
  return isCommitName(ref) ? { kind: 'commit', prefix: ref } : null;
};

/** Looks up HEAD and the requested ref on the remote; `base` carries where and as whom. */
export const probeRemote = async (
  git: RunGit,
  base: Omit<GitCall, 'args'>,
  url: string,
  ref: string | undefined,
): Promise<RemoteFacts | WorkspaceFailure> => {
  if (ref !== undefined && !isRefName(ref)) return noSuchRef(ref);
  // The host tells all it has in any case; with them we know whether the mirror has them already.
  const answer = await git({
    ...base,
    args: ['ls-remote', '--symref', '--', url, 'HEAD', 'refs/heads/*', 'refs/tags/*'],
    timeoutMs: base.timeoutMs ?? REPOSITORY_PROBE_MS,
  });
  if (answer.kind !== 'exited' || answer.code !== 0) return failureFromResult(answer);
  const refs = readRefs(answer.stdout.toString('utf8'));
  const target = targetOf(refs, ref);
  if (target === null) {
    return ref === undefined
      ? failure('ref_not_found', 'The repository has no commits yet.', 'Push a first commit, or name a branch.')
      : noSuchRef(ref);
  }
  return {
    kind: 'found',
    target,
    defaultBranch: refs.head?.startsWith('refs/heads/') ? shortName(refs.head, 'refs/heads/') : null,
    objectIdChars: refs.objectIds.values().next().value?.length ?? 40,
    refsDigest: answer.cut ? null : digestOfRefs([...refs.objectIds].filter(isBranchOrTag), refs.head),
  };
};
