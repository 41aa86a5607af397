/** Makes a checkpoint: one archive with all that a new life of the session needs, read from a work tree that is not trusted. */
import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  CHECKPOINT_LEFT_OUT_MAX,
  CHECKPOINT_MAX_BYTES,
  CHECKPOINT_MAX_FILES,
  CHECKPOINT_UNPACKED_MAX_BYTES,
  GIT_SMALL_FILE_MAX_BYTES,
} from '../../../shared/limits.ts';
import { readInside } from '../workspace/open-inside.ts';
import { openPrivateRepository, type PrivateRepository } from '../workspace/private-repository.ts';
import { type Adding, addFolder, addPath } from './add-files.ts';
import { startRefs } from './agent-refs.ts';
import { ArchiveTooLarge, ArchiveWriter, type StoredFile } from './archive-writer.ts';
import { type BytePath, fromText, toBytes } from './byte-path.ts';
import { changedFiles } from './changed-files.ts';
import { GitFailed } from './git-calls.ts';
import { GIT_FILES, GIT_FOLDERS, isGitFile, namesCommits, objectIdsIn } from './git-files.ts';
import { ignoredFiles } from './ignored-files.ts';
import { walkFiles } from './inside.ts';
import { type CheckpointManifest, ENTRIES } from './manifest.ts';
import { addFile } from './read-steady.ts';
import { repositoryState } from './repository-state.ts';

export interface MakeOptions
  extends Pick<CheckpointManifest, 'sessionId' | 'epoch' | 'provider' | 'baseCommit' | 'progress'> {
  /** The clone. */
  readonly workspace: string;
  /** The runner's private git data of the session. */
  readonly scratch: string;
  /** Folder of the CLI's conversations; `null` for a CLI without any. */
  readonly conversations: string | null;
  readonly inherited: Readonly<Record<string, string>>;
  /** A private folder of this checkpoint's. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly limits?: { readonly maxBytes?: number; readonly maxUnpackedBytes?: number };
}

export type MakeResult =
  | { readonly kind: 'made'; readonly file: StoredFile; readonly leftOut: readonly BytePath[] }
  | {
      readonly kind: 'failed';
      readonly code: 'checkpoint_too_large' | 'checkpoint_failed' | 'cancelled';
      readonly message: string;
    };

const ARCHIVE_NAME = 'checkpoint.tar.gz';

interface Work extends Adding {
  readonly options: MakeOptions;
}

const addConversations = async ({ options, archive }: Work): Promise<void> => {
  if (options.conversations === null) return;
  const root = await realpath(options.conversations).catch(() => null);
  if (root !== options.conversations) return;
  for await (const { path, kind } of walkFiles(fromText(root), '', CHECKPOINT_MAX_FILES)) {
    options.signal.throwIfAborted();
    if (kind === 'file') await addFile(archive, ENTRIES.conversation + path, fromText(root), path);
  }
};

/** Adds the files of `.git` that are carried; returns the objects that they name. */
const addGitFiles = async ({ archive, options }: Work, agentGit: string): Promise<string[]> => {
  const root = fromText(agentGit);
  const paths = [...GIT_FILES];
  for (const folder of GIT_FOLDERS)
    for await (const { path, kind } of walkFiles(root, folder, CHECKPOINT_MAX_FILES))
      if (kind === 'file' && isGitFile(path)) paths.push(path);
  const named = new Set<string>();
  for (const path of paths) {
    options.signal.throwIfAborted();
    if (!(await addFile(archive, ENTRIES.git + path, root, path)) || !namesCommits(path)) continue;
    const text = await readInside(agentGit, path, GIT_SMALL_FILE_MAX_BYTES);
    for (const objectId of objectIdsIn(text?.toString('latin1') ?? '')) named.add(objectId);
  }
  return [...named];
};

/** A file of the runner's own. */
const addOwn = async (archive: ArchiveWriter, name: BytePath, path: string): Promise<void> => {
  await addFile(archive, name, fromText(dirname(path)), fromText(basename(path)));
};

const addWorkFiles = async (work: Work, repository: PrivateRepository, index: string | null): Promise<void> => {
  const { options, archive, root, leftOut } = work;
  const files = await changedFiles(repository, options.baseCommit, options.folder, index);
  await archive.bytes(ENTRIES.removed, toBytes(files.changed.map((path) => `${path}\0`).join('')));
  for (const path of [...files.changed, ...files.added].sort()) {
    if (path.endsWith('/')) await addFolder(work, path.slice(0, -1));
    else await addPath(work, path);
  }
  const ignored = await ignoredFiles(root, files.ignored);
  for (const path of ignored.carried) await addPath(work, path);
  leftOut.push(...ignored.leftOut);
  const named = leftOut.slice(0, CHECKPOINT_LEFT_OUT_MAX).map((path) => `${path}\0`);
  await archive.bytes(ENTRIES.leftOut, toBytes(named.join('')));
};

/**
 * The conversation is read first and the files last: files may then know more than the conversation, and never the other way
 * round, when the CLI runs on meanwhile.
 */
const fill = async (work: Work, repository: PrivateRepository): Promise<void> => {
  const { options, archive } = work;
  const { sessionId, epoch, provider, baseCommit, progress, folder } = options;
  await addConversations(work);
  const named = await addGitFiles(work, repository.agentGit);
  const kept = await startRefs(options.scratch);
  const state = await repositoryState({ repository, baseCommit, folder, named, startRefs: kept });
  const manifest: CheckpointManifest = {
    ...{ v: 1, sessionId, epoch, provider, baseCommit, progress },
    ...{ workspace: repository.workspace, head: state.head, refs: [...state.refs] },
  };
  await archive.bytes(ENTRIES.manifest, Buffer.from(JSON.stringify(manifest)));
  if (state.pack !== null) await addOwn(archive, ENTRIES.objects, state.pack);
  if (state.index !== null) await addOwn(archive, ENTRIES.index, state.index);
  await addWorkFiles(work, repository, state.index);
};

const failedBy = (error: unknown, signal: AbortSignal): MakeResult => {
  if (signal.aborted) return { kind: 'failed', code: 'cancelled', message: 'a later checkpoint takes its place' };
  if (error instanceof ArchiveTooLarge) return { kind: 'failed', code: 'checkpoint_too_large', message: error.message };
  // A full disk, too: the session goes on, and the next one may fit.
  const isKnown = error instanceof GitFailed || (error instanceof Error && 'code' in error);
  if (!isKnown) throw error;
  return { kind: 'failed', code: 'checkpoint_failed', message: error.message };
};

const makeIn = async (options: MakeOptions): Promise<MakeResult> => {
  const repository = await openPrivateRepository({
    ...{ workspace: options.workspace, baseCommit: options.baseCommit, inherited: options.inherited },
    ...{ scratch: join(options.scratch, 'checkpoint'), signal: options.signal, isExact: true },
  });
  if (repository === null)
    return { kind: 'failed', code: 'checkpoint_failed', message: 'the workspace holds no git repository any more' };
  const archive = new ArchiveWriter(join(options.folder, ARCHIVE_NAME), {
    maxBytes: options.limits?.maxBytes ?? CHECKPOINT_MAX_BYTES,
    maxUnpackedBytes: options.limits?.maxUnpackedBytes ?? CHECKPOINT_UNPACKED_MAX_BYTES,
  });
  const { signal } = options;
  const work: Work = { options, archive, root: fromText(repository.workspace), leftOut: [], signal };
  try {
    await fill(work, repository);
    return { kind: 'made', file: await archive.finish(), leftOut: work.leftOut };
  } catch (error) {
    await archive.discard();
    return failedBy(error, options.signal);
  }
};

/** Makes one in a folder of its own below `options.folder`; the caller removes that when the archive is stored. */
export const makeCheckpoint = async (options: Omit<MakeOptions, 'folder'> & { readonly parent: string }) => {
  await mkdir(options.parent, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(join(options.parent, 'new-'));
  const discard = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const made = await makeIn({ ...options, folder });
    if (made.kind === 'failed') await discard();
    return { ...made, discard };
  } catch (error) {
    await discard();
    throw error;
  }
};
