/** Which files of a work tree a fresh clone of its base commit would not have, or has otherwise. */
import { join } from 'node:path';
import { CHECKPOINT_LIST_MAX_BYTES } from '../../../shared/limits.ts';
import { type PrivateRepository, refreshedIndex } from '../workspace/private-repository.ts';
import { type BytePath, isGitFolder, isPlainPath, splitNul } from './byte-path.ts';
import { outputOf } from './git-calls.ts';

export interface ChangedFiles {
  /** Of the base commit, and now otherwise or gone. */
  readonly changed: readonly BytePath[];
  /** Not in the base commit. A name that ends with `/` is a folder with a repository of its own. */
  readonly added: readonly BytePath[];
  /** What ignore rules match, folders as a whole with a `/` at their end. */
  readonly ignored: readonly BytePath[];
}

const isUsable = (path: BytePath): boolean => isPlainPath(path.replace(/\/$/, '')) && !isGitFolder(path);

/** Folders of submodules: git looks into none of them, so all of their files are told as added. */
const submodules = async (list: (args: readonly string[]) => Promise<Buffer>): Promise<BytePath[]> => {
  const named = await list(['ls-files', '-z', '--', ':(top,literal).gitmodules']);
  if (named.length === 0) return [];
  return splitNul(await list(['ls-files', '-z', '--stage'])).flatMap((line) =>
    line.startsWith('160000 ') ? [`${line.slice(line.indexOf('\t') + 1)}/`] : [],
  );
};

/** Throws GitFailed. `agentIndex` tells what was added by force although a rule ignores it. */
export const changedFiles = async (
  repository: PrivateRepository,
  baseCommit: string,
  folder: string,
  agentIndex: string | null,
): Promise<ChangedFiles> => {
  const index = join(folder, 'work.index');
  const failed = await refreshedIndex(repository, baseCommit, index);
  if (failed) outputOf('files of the base commit', failed);
  const list = async (args: readonly string[], of = index): Promise<Buffer> =>
    outputOf('files', await repository.run(of, args, { maxOutputBytes: CHECKPOINT_LIST_MAX_BYTES }));
  const compare = ['--no-ext-diff', '--no-textconv', '--no-renames', '--ignore-submodules=all', '--name-only', '-z'];
  const changed = splitNul(await list(['diff-files', ...compare]));
  const added = splitNul(await list(['ls-files', '-z', '--others', '--exclude-standard']));
  const rules = ['--others', '--ignored', '--exclude-standard', '--directory'];
  const ignored = splitNul(await list(['ls-files', '-z', ...rules]));
  const staged =
    agentIndex === null
      ? []
      : splitNul(await list(['diff-index', '--cached', ...compare, '--diff-filter=A', baseCommit, '--'], agentIndex));
  const all = new Set([...added, ...staged, ...(await submodules(list))]);
  return {
    changed: changed.filter(isUsable),
    added: [...all].filter(isUsable),
    ignored: ignored.filter((path) => isUsable(path) && !all.has(path)),
  };
};
