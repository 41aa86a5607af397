/**
 * What a session changed: the files as they are now against the commit it started from, whatever the agent committed,
 * staged, hid (assume-unchanged, `-diff` attributes) or left untracked. Works on the runner's own index and never takes
 * the agent's `index.lock`.
 */
import { lstat, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DiffFile } from '../../../shared/events.ts';
import {
  DIFF_MAX_FILES,
  DIFF_PATCH_MAX_BYTES,
  DIFF_RENAME_MAX_FILES,
  DIFF_UNTRACKED_MAX_FILES,
  GIT_INDEX_MAX_BYTES,
} from '../../../shared/limits.ts';
import { diffFiles, parseDiff, splitRecords } from './diff-parse.ts';
import type { GitResult } from './git.ts';
import { readHead } from './head-ref.ts';
import { readInside } from './open-inside.ts';
import {
  openPrivateRepository,
  type PrivateRepository,
  type PrivateRepositoryOptions,
  refreshedIndex,
} from './private-repository.ts';

export interface DiffOptions extends PrivateRepositoryOptions {
  readonly limits?: {
    readonly maxFiles?: number;
    readonly maxPatchBytes?: number;
    readonly maxUntrackedFiles?: number;
  };
}

export interface DiffSummary {
  readonly kind: 'summary';
  /** In git's order, at most `DIFF_MAX_FILES`. */
  readonly files: readonly DiffFile[];
  readonly linesAdded: number;
  readonly linesRemoved: number;
  /** Unified diff, cut at a character. Names git quotes appear quoted. */
  readonly patch: string;
  /** Files or patch were cut. */
  readonly truncated: boolean;
  /** The agent's HEAD; '' on a branch without a commit. */
  readonly headCommit: string;
  /** `null` when detached. */
  readonly branch: string | null;
}

export type DiffResult =
  | DiffSummary
  | {
      readonly kind: 'failed';
      readonly code: 'no_repository' | 'timeout' | 'cancelled' | 'git_missing' | 'git_failed';
      readonly message: string;
    };

/** Path length the event schema takes. */
const PATH_MAX_CHARS = 1_024;

class GitStopped extends Error {
  readonly result: GitResult;
  constructor(result: GitResult) {
    super('git did not answer');
    this.result = result;
  }
}

interface Session {
  readonly repository: PrivateRepository;
  readonly base: string;
  readonly index: string;
  readonly folder: string;
}

const list = async (
  session: Session,
  index: string,
  args: readonly string[],
): Promise<{ output: Buffer; cut: boolean }> => {
  const result = await session.repository.run(index, args);
  if (result.kind !== 'exited' || (result.code !== 0 && !result.cut)) throw new GitStopped(result);
  return { output: result.stdout, cut: result.cut };
};

const COMPARE = ['diff-index', '--no-ext-diff', '--no-textconv', '--ignore-submodules=dirty'] as const;

/** git refuses these in an index; one such name must not take the whole diff with it. */
const isIndexable = (path: string): boolean =>
  !path.split('/').some((part) => part === '' || part === '.' || part === '..' || part.toLowerCase() === '.git');

interface AgentIndex {
  /** In the agent's index but not in the base: shown even where ignore rules match. */
  readonly added: readonly string[];
  readonly staged: ReadonlySet<string>;
}

const readAgentIndex = async (session: Session, headCommit: string | null): Promise<AgentIndex> => {
  const nothing: AgentIndex = { added: [], staged: new Set() };
  const bytes = await readInside(session.repository.agentGit, 'index', GIT_INDEX_MAX_BYTES);
  if (bytes === null) return nothing;
  const copy = join(session.folder, 'agent.index');
  await writeFile(copy, bytes);
  try {
    const names = ['--cached', '--no-renames', '--name-only', '-z'];
    const added = await list(session, copy, [...COMPARE, ...names, '--diff-filter=A', session.base, '--']);
    if (headCommit === null) return { added: splitRecords(added.output), staged: new Set() };
    const staged = await list(session, copy, [...COMPARE, ...names, headCommit, '--']);
    return { added: splitRecords(added.output), staged: new Set(splitRecords(staged.output)) };
  } catch (error) {
    // An index git cannot read (split, or written by the agent) says nothing about staging; the files still do.
    if (error instanceof GitStopped && error.result.kind === 'exited') return nothing;
    throw error;
  }
};

const emptyBlob = (base: string): string =>
  base.length === 64
    ? '473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813'
    : 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391';

const changeIndex = async (session: Session, lines: readonly string[]): Promise<void> => {
  if (lines.length === 0) return;
  const stdin = lines.map((line) => `${line}\0`).join('');
  const result = await session.repository.run(session.index, ['update-index', '-z', '--index-info'], { stdin });
  if (result.kind !== 'exited' || result.code !== 0) throw new GitStopped(result);
};

/** Registers new files as if they were empty, so that comparing the index with the disk shows their content. */
const addNewFiles = async (session: Session, agentAdded: readonly string[], maxFiles: number): Promise<boolean> => {
  const others = await list(session, session.index, ['ls-files', '-z', '--others', '--exclude-standard']);
  // A name that ends with a slash is a repository inside this one: not the session's files.
  const untracked = splitRecords(others.output).filter((path) => !path.endsWith('/'));
  const paths = [...new Set([...untracked, ...agentAdded])].filter(isIndexable);
  await changeIndex(
    session,
    paths.slice(0, maxFiles).map((path) => `100644 ${emptyBlob(session.base)} 0\t${path}`),
  );
  return others.cut || paths.length > maxFiles;
};

/** A FIFO or device in the place of a file would make git wait for ever; it shows as a deleted file instead. */
const dropSpecialFiles = async (session: Session): Promise<void> => {
  const raw = await list(session, session.index, [...COMPARE, '-z', '--raw', '--no-renames', session.base, '--']);
  const special: string[] = [];
  for (const { path, letter } of parseDiff(raw.output).changes) {
    if (letter === 'D') continue;
    const stats = await lstat(join(session.repository.workspace, path)).catch(() => null);
    if (stats && !stats.isFile() && !stats.isSymbolicLink() && !stats.isDirectory()) special.push(path);
  }
  await changeIndex(
    session,
    special.map((path) => `0 ${emptyBlob(session.base)}\t${path}`),
  );
};

const readPatch = async (session: Session, renames: readonly string[], maxBytes: number) => {
  const args = [...COMPARE, '--patch', '--no-color', ...renames, session.base, '--'];
  const result = await session.repository.run(session.index, args, { maxOutputBytes: maxBytes });
  if (result.kind !== 'exited' || (result.code !== 0 && !result.cut)) throw new GitStopped(result);
  // `stream` holds back a character whose last bytes were cut off.
  return { patch: new TextDecoder().decode(result.stdout, { stream: result.cut }), cut: result.cut };
};

const summarise = async (session: Session, options: DiffOptions): Promise<DiffSummary> => {
  const head = await readHead(session.repository.agentGit);
  const agent = await readAgentIndex(session, head?.commit ?? null);
  const maxUntracked = options.limits?.maxUntrackedFiles ?? DIFF_UNTRACKED_MAX_FILES;
  const manyUntracked = await addNewFiles(session, agent.added, maxUntracked);
  await dropSpecialFiles(session);
  const renames = ['--find-renames=50%', `-l${DIFF_RENAME_MAX_FILES}`];
  const changed = await list(session, session.index, [
    ...[...COMPARE, '-z', '--raw', '--numstat', ...renames],
    ...[session.base, '--'],
  ]);
  const all = diffFiles(parseDiff(changed.output), agent.staged);
  const { patch, cut } = await readPatch(session, renames, options.limits?.maxPatchBytes ?? DIFF_PATCH_MAX_BYTES);
  const sum = (pick: (file: DiffFile) => number) => all.reduce((total, file) => total + pick(file), 0);
  const files = all
    .filter((file) => file.path.length <= PATH_MAX_CHARS && (file.oldPath?.length ?? 0) <= PATH_MAX_CHARS)
    .slice(0, options.limits?.maxFiles ?? DIFF_MAX_FILES);
  return {
    kind: 'summary',
    files,
    linesAdded: sum((file) => file.added),
    linesRemoved: sum((file) => file.removed),
    patch,
    truncated: cut || changed.cut || manyUntracked || files.length < all.length,
    headCommit: head?.commit ?? '',
    branch: head?.branch ?? null,
  };
};

const failedDiff = (result: GitResult): DiffResult => {
  if (result.kind !== 'exited') return { kind: 'failed', code: result.kind, message: `git: ${result.kind}` };
  return { kind: 'failed', code: 'git_failed', message: result.stderr.slice(-500) };
};

/** Summarises the session's changes; see `DiffSummary`. The scratch folder is created when it is absent. */
export const summariseDiff = async (options: DiffOptions): Promise<DiffResult> => {
  await mkdir(options.scratch, { recursive: true, mode: 0o700 });
  const folder = await mkdtemp(join(options.scratch, 'diff-'));
  try {
    const repository = await openPrivateRepository(options);
    if (repository === null) {
      return { kind: 'failed', code: 'no_repository', message: 'the workspace holds no git repository any more' };
    }
    const index = join(folder, 'work.index');
    const failed = await refreshedIndex(repository, options.baseCommit, index);
    if (failed) return failedDiff(failed);
    return await summarise({ repository, base: options.baseCommit, index, folder }, options);
  } catch (error) {
    if (error instanceof GitStopped) return failedDiff(error.result);
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
