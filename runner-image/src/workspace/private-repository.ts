/**
 * A git folder of the runner's over the agent's files. The agent can write anything into its `.git` (hooks, filters,
 * fsmonitor, includes, attributes), so the runner's git never reads that folder: it gets a configuration, an index and
 * attributes of its own, and takes only objects from the agent.
 */
import { randomUUID } from 'node:crypto';
import { copyFile, lstat, mkdir, readFile, realpath, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GIT_COMMAND_TIMEOUT_MS, GIT_SMALL_FILE_MAX_BYTES } from '../../../shared/limits.ts';
import { type GitCall, type GitResult, type RunGit, runGit } from './git.ts';
import { readInside } from './open-inside.ts';

export interface PrivateRepositoryOptions {
  readonly workspace: string;
  /** A folder only the runner writes; kept for the session, so that unchanged files are hashed once. */
  readonly scratch: string;
  /** The commit the session started from. */
  readonly baseCommit: string;
  readonly inherited: Readonly<Record<string, string>>;
  readonly git?: RunGit;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Compares byte by byte, line ends and encodings included, and knows where a shallow history ends. */
  readonly isExact?: boolean;
}

export interface PrivateRepository {
  /** Without links. */
  readonly workspace: string;
  /** The agent's `.git`. */
  readonly agentGit: string;
  /** Index of the base commit, kept between calls; absent until `refreshedIndex` has run once. */
  readonly baseIndex: string;
  /** Runs git over the workspace with the given index (a path). */
  readonly run: (
    index: string,
    args: readonly string[],
    more?: Pick<GitCall, 'stdin' | 'maxOutputBytes' | 'timeoutMs'>,
  ) => Promise<GitResult>;
}

const OBJECT_ID = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

/**
 * Undoes the agent's attributes that would start a driver or hide a text from the diff; in this place they win over
 * every `.gitattributes`.
 */
const ATTRIBUTES = '* !filter !diff !merge\n';
/** Files are their blobs, byte for byte. */
export const EXACT_ATTRIBUTES = '* -text !eol !crlf -ident !working-tree-encoding !filter !diff !merge\n';

/** The path protections guard checkouts; nothing is ever checked out here, and an odd name must not stop the diff. */
const configuration = (objectIdChars: number): string =>
  [
    '[core]',
    '\tbare = false',
    '\tprotectNTFS = false',
    '\tprotectHFS = false',
    `\trepositoryformatversion = ${objectIdChars === 64 ? 1 : 0}`,
    ...(objectIdChars === 64 ? ['[extensions]', '\tobjectformat = sha256'] : []),
    '',
  ].join('\n');

/** Real path of the agent's objects, or `null` when they are not a plain folder of this workspace. */
const agentObjects = async (workspace: string): Promise<string | null> => {
  const objects = join(workspace, '.git', 'objects');
  try {
    if ((await realpath(objects)) !== objects || !(await lstat(objects)).isDirectory()) return null;
    return objects;
  } catch {
    // The agent removed or closed its repository: there is nothing to read.
    return null;
  }
};

/** Where the clone's history ends, if it was cut; whatever else the agent wrote there is not passed on. */
const shallowOf = async (agentGit: string): Promise<string> => {
  const text = (await readInside(agentGit, 'shallow', GIT_SMALL_FILE_MAX_BYTES))?.toString('latin1') ?? '';
  const lines = text.split('\n').filter((line) => OBJECT_ID.test(line));
  return lines.map((line) => `${line}\n`).join('');
};

/** Another call may be reading: a file that is right already is left alone. */
const writeChanged = async (path: string, content: Buffer): Promise<void> => {
  const old = await readFile(path).catch(() => null);
  if (old?.equals(content)) return;
  const fresh = `${path}.${randomUUID()}`;
  await writeFile(fresh, content);
  await rename(fresh, path);
};

const writeFolder = async (folder: string, files: Readonly<Record<string, string | Buffer>>): Promise<void> => {
  for (const part of ['objects/info', 'refs', 'info', 'home']) {
    await mkdir(join(folder, part), { recursive: true, mode: 0o700 });
  }
  for (const [name, content] of Object.entries(files)) await writeChanged(join(folder, name), Buffer.from(content));
};

/**
 * Opens the private repository; cheap, so each use opens it anew. `null` when the workspace holds no usable repository
 * any more. Throws when `baseCommit` is no object id.
 */
export const openPrivateRepository = async (options: PrivateRepositoryOptions): Promise<PrivateRepository | null> => {
  if (!OBJECT_ID.test(options.baseCommit)) throw new Error('baseCommit is no object id');
  const workspace = await realpath(options.workspace).catch(() => null);
  const objects = workspace === null ? null : await agentObjects(workspace);
  if (workspace === null || objects === null) return null;
  const agentGit = join(workspace, '.git');
  const folder = join(options.scratch, 'git');
  await writeFolder(folder, {
    config: configuration(options.baseCommit.length),
    HEAD: `${options.baseCommit}\n`,
    'objects/info/alternates': `${JSON.stringify(objects)}\n`,
    'info/attributes': options.isExact ? EXACT_ATTRIBUTES : ATTRIBUTES,
    ...(options.isExact ? { shallow: await shallowOf(agentGit) } : {}),
    'info/exclude': (await readInside(agentGit, 'info/exclude', GIT_SMALL_FILE_MAX_BYTES)) ?? '',
  });
  const run: PrivateRepository['run'] = (index, args, more = {}) =>
    (options.git ?? runGit)({
      timeoutMs: options.timeoutMs ?? GIT_COMMAND_TIMEOUT_MS,
      ...more,
      args,
      cwd: workspace,
      home: join(folder, 'home'),
      protocols: [],
      inherited: options.inherited,
      variables: { GIT_DIR: folder, GIT_WORK_TREE: workspace, GIT_INDEX_FILE: index },
      ...(options.signal ? { signal: options.signal } : {}),
    });
  return { workspace, agentGit, baseIndex: join(folder, `base-${options.baseCommit}.index`), run };
};

/**
 * Writes an index of the base commit to `index`, with the times of the files as they are now, and keeps a copy for the
 * next call. Returns the git result that failed, or `null`.
 */
export const refreshedIndex = async (
  repository: PrivateRepository,
  baseCommit: string,
  index: string,
): Promise<GitResult | null> => {
  const copied = await copyFile(repository.baseIndex, index).then(
    () => true,
    () => false,
  );
  if (!copied) {
    const read = await repository.run(index, ['read-tree', baseCommit]);
    if (read.kind !== 'exited' || read.code !== 0) return read;
  }
  const refreshed = await repository.run(index, ['update-index', '-q', '--ignore-submodules', '--refresh']);
  // Code 1 says that files differ, which is what a diff is about.
  if (refreshed.kind !== 'exited' || refreshed.code > 1 || refreshed.code < 0) return refreshed;
  await copyFile(index, `${index}.kept`);
  await rename(`${index}.kept`, repository.baseIndex);
  return null;
};
