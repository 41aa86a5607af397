/**
 * The part of the agent's repository that is not in the remote's: new objects in one pack, local refs, HEAD and the index, so
 * that commits, stashes and what is staged come back as they were.
 */
import { lstat, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CHECKPOINT_LIST_MAX_BYTES,
  CHECKPOINT_MAX_BYTES,
  CHECKPOINT_REFS_MAX,
  GIT_CLONE_TIMEOUT_MS,
  GIT_INDEX_MAX_BYTES,
} from '../../../shared/limits.ts';
import { readHead } from '../workspace/head-ref.ts';
import { readInside } from '../workspace/open-inside.ts';
import type { PrivateRepository } from '../workspace/private-repository.ts';
import { isRefName } from '../workspace/remote-probe.ts';
import { type Refs, readRefs } from './agent-refs.ts';
import { ArchiveTooLarge } from './archive-writer.ts';
import { GitFailed, outputOf } from './git-calls.ts';
import type { CheckpointManifest } from './manifest.ts';

export interface RepositoryState extends Pick<CheckpointManifest, 'head' | 'refs'> {
  /** A private copy of the agent's index; `null` when there is none that git can read. */
  readonly index: string | null;
  /** A pack of all that the base commit does not reach; `null` when there is nothing. */
  readonly pack: string | null;
}

export interface StateOptions {
  readonly repository: PrivateRepository;
  readonly baseCommit: string;
  /** A private folder of this checkpoint. */
  readonly folder: string;
  readonly startRefs: Refs | null;
  /** Object ids named elsewhere in `.git`. */
  readonly named: readonly string[];
}

type Run = PrivateRepository['run'];

/** Objects must lie in the workspace itself: links and alternates would bring in what belongs to others. */
const checkObjects = async (agentGit: string): Promise<void> => {
  const objects = join(agentGit, 'objects');
  for (const folder of [objects, join(objects, 'pack')]) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    if (entries.some((entry) => entry.isSymbolicLink())) throw new GitFailed('the objects are links to other places');
  }
  const alternates = await lstat(join(objects, 'info', 'alternates')).catch(() => null);
  if (alternates !== null) throw new GitFailed('the repository borrows objects from another one');
};

const copyIndex = async (options: StateOptions): Promise<string | null> => {
  const { repository, folder } = options;
  const bytes = await readInside(repository.agentGit, 'index', GIT_INDEX_MAX_BYTES);
  if (bytes === null) return null;
  const copy = join(folder, 'agent.index');
  await writeFile(copy, bytes, { mode: 0o600 });
  // One that is split or damaged says nothing about what is staged; the files still come along.
  const readable = await repository.run(copy, ['ls-files', '-z', '-u']);
  return readable.kind === 'exited' && (readable.code === 0 || readable.cut) ? copy : null;
};

/** Blobs that only the index holds. */
const stagedBlobs = async (run: Run, index: string, baseCommit: string): Promise<string[]> => {
  const more = { maxOutputBytes: CHECKPOINT_LIST_MAX_BYTES };
  const compare = ['diff-index', '--cached', '--raw', '-z', '--no-renames', '--no-abbrev', baseCommit, '--'];
  const changed = outputOf('staged files', await run(index, compare, more)).toString('latin1');
  const unmerged = outputOf('unmerged files', await run(index, ['ls-files', '-z', '-u'], more)).toString('latin1');
  const ids = [...changed.matchAll(/(?:^|\0):\d+ (\d+) [0-9a-f]+ ([0-9a-f]+) /g)]
    // A submodule's commit is not an object of this repository.
    .flatMap(([, mode, objectId]) => (mode === '160000' || objectId === undefined ? [] : [objectId]));
  const stages = [...unmerged.matchAll(/(?:^|\0)(\d+) ([0-9a-f]+) \d\t/g)].flatMap(([, mode, objectId]) =>
    mode === '160000' || objectId === undefined ? [] : [objectId],
  );
  return [...ids, ...stages].filter((objectId) => !/^0+$/.test(objectId));
};

/** Those of the objects that are there. */
const existing = async (run: Run, index: string, objectIds: readonly string[]): Promise<Set<string>> => {
  if (objectIds.length === 0) return new Set();
  const stdin = objectIds.map((objectId) => `${objectId}\n`).join('');
  const more = { stdin, maxOutputBytes: CHECKPOINT_LIST_MAX_BYTES };
  const output = outputOf('objects', await run(index, ['cat-file', '--batch-check'], more)).toString('latin1');
  const found = output.split('\n').map((line) => /^([0-9a-f]+) (?:commit|tree|blob|tag) /.exec(line)?.[1]);
  return new Set(found.filter((objectId) => objectId !== undefined));
};

const makePack = async (options: StateOptions, tips: readonly string[], index: string): Promise<string | null> => {
  if (tips.length === 0) return null;
  const { run } = options.repository;
  const stdin = `${[...tips, `^${options.baseCommit}`].join('\n')}\n`;
  const sized = await run(index, ['rev-list', '--objects', '--disk-usage', '--stdin'], { stdin });
  const sizeBytes = Number(outputOf('size of new objects', sized).toString('latin1').trim());
  if (sizeBytes > CHECKPOINT_MAX_BYTES) throw new ArchiveTooLarge(`${sizeBytes} bytes of new commits`);
  const prefix = join(options.folder, 'objects');
  const limits = ['-c', 'pack.windowMemory=32m', '-c', 'pack.deltaCacheSize=8m'];
  const quiet = ['--quiet', '--non-empty', '--threads=1', '--delta-base-offset'];
  const packed = await run(index, [...limits, 'pack-objects', '--revs', ...quiet, prefix], {
    stdin,
    timeoutMs: GIT_CLONE_TIMEOUT_MS,
  });
  const name = outputOf('pack of new objects', packed).toString('latin1').trim();
  return /^[0-9a-f]+$/.test(name) ? `${prefix}-${name}.pack` : null;
};

const readHeadOf = async (agentGit: string): Promise<RepositoryState['head']> => {
  const head = await readHead(agentGit);
  if (head === null) throw new GitFailed('the workspace has no HEAD any more');
  // A HEAD on what is no branch is kept as the commit it stands for.
  const branch =
    head.branch === null || head.branch.startsWith('refs/') || !isRefName(head.branch) ? null : head.branch;
  if (branch === null && head.commit === null) throw new GitFailed('HEAD leads to no commit');
  return { branch, commit: head.commit };
};

const isStashOrHead = (name: string): boolean => !name.startsWith('refs/tags/');

/** Throws GitFailed or ArchiveTooLarge. Refs and index are read before the objects, which git only ever adds before them. */
export const repositoryState = async (options: StateOptions): Promise<RepositoryState> => {
  const { repository, baseCommit, startRefs, folder } = options;
  await checkObjects(repository.agentGit);
  const all = await readRefs(repository.agentGit);
  const head = await readHeadOf(repository.agentGit);
  const index = await copyIndex(options);
  const anIndex = index ?? join(folder, 'none.index');
  const own = [...all].filter(
    ([name, objectId]) => isStashOrHead(name) || (startRefs !== null && startRefs.get(name) !== objectId),
  );
  const staged = index === null ? [] : await stagedBlobs(repository.run, index, baseCommit);
  // The remote has what stands where the clone put it.
  const moved = own.filter(([name, objectId]) => startRefs?.get(name) !== objectId).map(([, objectId]) => objectId);
  const wanted = [...(head.commit === null ? [] : [head.commit]), ...moved, ...staged, ...options.named];
  const there = await existing(repository.run, anIndex, [...new Set(wanted)]);
  const pack = await makePack(options, [...there], anIndex);
  const refs = own.filter(([name, objectId]) => there.has(objectId) || startRefs?.get(name) === objectId);
  if (head.commit !== null && !there.has(head.commit)) throw new GitFailed('the commit of HEAD is missing');
  return {
    head,
    refs: refs.sort(([one], [other]) => (one < other ? -1 : 1)).slice(0, CHECKPOINT_REFS_MAX),
    index,
    pack,
  };
};
