/** The runner's bare copy of a repository: it makes the second session of a repository quick, and no agent ever sees it. */
import { createHash } from 'node:crypto';
import { access, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GIT_CLONE_TIMEOUT_MS } from '../../../shared/limits.ts';
import type { GitCall, GitResult, RunGit } from './git.ts';
import { failureFromResult, type WorkspaceFailure } from './git-failure.ts';
import { mirrorsFolder } from './layout.ts';
import { digestOfRefs, type RemoteFacts } from './remote-probe.ts';
import { beginChange, markSteady } from './steady-mirror.ts';

export interface MirrorPaths {
  readonly folder: string;
  readonly lock: string;
}

/** One mirror per tenant and address: tenants never share objects. */
export const mirrorPaths = (root: string, tenantId: string, url: string): MirrorPaths => {
  const name = createHash('sha256').update(`${tenantId}\0${url}`).digest('hex');
  return { folder: join(mirrorsFolder(root), `${name}.git`), lock: join(mirrorsFolder(root), `${name}.lock`) };
};

/**
 * Written after each whole fetch; a mirror without it was interrupted and is made anew. Once the mirror was looked at it holds the digest
 * of its branches and tags: a remote of the same digest has nothing new.
 */
const COMPLETE = 'village-complete';

const ok = (result: GitResult): boolean => result.kind === 'exited' && result.code === 0;

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** A git that was killed leaves its `*.lock` files, which would refuse every later fetch; the caller holds our lock. */
const removeStaleLocks = async (folder: string): Promise<void> => {
  const inRefs = await readdir(join(folder, 'refs'), { recursive: true });
  const atTop = await readdir(folder);
  const stale = [...atTop.map((name) => join(folder, name)), ...inRefs.map((name) => join(folder, 'refs', name))];
  await Promise.all(stale.filter((path) => path.endsWith('.lock')).map((path) => rm(path, { force: true })));
};

interface Fetch {
  readonly git: RunGit;
  readonly base: Omit<GitCall, 'args'>;
  readonly folder: string;
  readonly url: string;
  readonly facts: RemoteFacts;
  readonly timeoutMs?: number;
}

const fetchInto = async (fetch: Fetch, refspecs: readonly string[]): Promise<GitResult> =>
  fetch.git({
    ...fetch.base,
    timeoutMs: fetch.timeoutMs ?? GIT_CLONE_TIMEOUT_MS,
    args: [
      ...[`--git-dir=${fetch.folder}`, 'fetch', '--quiet', '--no-tags', '--no-write-fetch-head', '--update-shallow'],
      ...(refspecs.length > 1 ? ['--prune'] : []),
      ...['--no-recurse-submodules', '--', fetch.url, ...refspecs],
    ],
  });

const initialise = async (fetch: Fetch): Promise<GitResult> => {
  await rm(fetch.folder, { recursive: true, force: true });
  const format = fetch.facts.objectIdChars === 64 ? 'sha256' : 'sha1';
  return fetch.git({
    ...fetch.base,
    args: ['init', '--quiet', '--bare', '--template=', `--object-format=${format}`, '--', fetch.folder],
  });
};

/** A commit that no branch or tag reaches: many hosts hand it out when it is asked for by its whole name. */
const fetchLooseCommit = async (fetch: Fetch): Promise<void> => {
  const { target } = fetch.facts;
  if (target.kind !== 'commit' || target.prefix.length !== fetch.facts.objectIdChars) return;
  const known = await fetch.git({
    ...fetch.base,
    args: [`--git-dir=${fetch.folder}`, 'cat-file', '-e', `${target.prefix}^{commit}`],
  });
  // A refusal is told by the clone, which then does not find the commit.
  if (!ok(known)) await fetchInto(fetch, [target.prefix]);
};

const fetchAll = async (fetch: Fetch): Promise<WorkspaceFailure | null> => {
  const fetched = await fetchInto(fetch, ['+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*']);
  if (!ok(fetched)) return failureFromResult(fetched);
  await fetchLooseCommit(fetch);
  if (fetch.facts.defaultBranch !== null) {
    const head = await fetch.git({
      ...fetch.base,
      args: [`--git-dir=${fetch.folder}`, 'symbolic-ref', 'HEAD', `refs/heads/${fetch.facts.defaultBranch}`],
    });
    if (!ok(head)) return failureFromResult(head);
  }
  await writeFile(join(fetch.folder, COMPLETE), '');
  return null;
};

/** What a fetch leaves to be done, for the next session of this repository. The caller holds the lock; a failure costs speed only. */
export const tidyMirror = async ({ git, base, folder }: Pick<Fetch, 'git' | 'base' | 'folder'>): Promise<void> => {
  const args = [`--git-dir=${folder}`, 'for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/tags'];
  const listed = await git({ ...base, args });
  const head = /^ref: (\S+)$/m.exec(await readFile(join(folder, 'HEAD'), 'utf8'))?.[1] ?? null;
  let refsDigest: string | null = null;
  if (listed.kind === 'exited' && listed.code === 0 && !listed.cut) {
    const lines = listed.stdout
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '');
    const refs = lines.map((line) => line.split(' ') as [string, string]);
    refsDigest = digestOfRefs(refs, head);
    await writeFile(join(folder, COMPLETE), refsDigest);
  }
  // Many small fetches leave many packs.
  await git({ ...base, args: [`--git-dir=${folder}`, 'gc', '--auto', '--quiet'] });
  if (refsDigest !== null) await markSteady(folder, refsDigest);
};

/** A commit that no branch or tag names may be missing all the same. */
const isUpToDate = async ({ folder, facts }: Fetch): Promise<boolean> =>
  facts.refsDigest !== null &&
  facts.target.kind !== 'commit' &&
  (await readFile(join(folder, COMPLETE), 'utf8').catch(() => '')) === facts.refsDigest;

export interface UpdatedMirror {
  readonly kind: 'updated';
  readonly mirror: 'cold' | 'warm';
  /** Something was fetched: `tidyMirror` is due. */
  readonly isChanged: boolean;
}

/**
 * Brings the mirror up to date. The caller holds the mirror's lock. A mirror that git cannot read any more is thrown
 * away and fetched again once.
 */
export const updateMirror = async (fetch: Fetch): Promise<UpdatedMirror | WorkspaceFailure> => {
  if (await isUpToDate(fetch)) return { kind: 'updated', mirror: 'warm', isChanged: false };
  await beginChange(fetch.folder);
  if (await exists(join(fetch.folder, COMPLETE))) {
    await removeStaleLocks(fetch.folder);
    const failed = await fetchAll(fetch);
    if (failed === null) return { kind: 'updated', mirror: 'warm', isChanged: true };
    if (failed.code !== 'git_failed' && failed.code !== 'repository_not_found') return failed;
  }
  const made = await initialise(fetch);
  if (!ok(made)) return failureFromResult(made);
  const failed = await fetchAll(fetch);
  return failed ?? { kind: 'updated', mirror: 'cold', isChanged: true };
};
