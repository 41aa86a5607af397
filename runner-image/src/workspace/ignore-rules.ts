/** Asks git which paths its ignore rules leave out; own matching of .gitignore would disagree with the diff. */
import { lstat } from 'node:fs/promises';
import { splitRecords } from './diff-parse.ts';
import { openPrivateRepository, type PrivateRepositoryOptions } from './private-repository.ts';

/**
 * The ignored ones of `paths` (relative). Files of the base commit are never ignored. When git cannot answer (a path
 * behind a link or in a submodule, no repository any more) nothing counts as ignored: a report too many is the safe side.
 */
export const ignoredPaths = async (
  options: PrivateRepositoryOptions,
  paths: readonly string[],
): Promise<ReadonlySet<string>> => {
  const repository = paths.length === 0 ? null : await openPrivateRepository(options);
  if (repository === null) return new Set();
  const stdin = paths.map((path) => `./${path}\0`).join('');
  const answer = await repository.run(repository.baseIndex, ['check-ignore', '-z', '--stdin'], { stdin });
  if (answer.kind !== 'exited' || answer.code !== 0) return new Set();
  return new Set(splitRecords(answer.stdout).map((path) => path.replace(/^\.\//, '')));
};

/** The topmost ignored folders as they are on disk now (relative, no slash at the end). */
export const ignoredFolders = async (options: PrivateRepositoryOptions): Promise<ReadonlySet<string>> => {
  const repository = await openPrivateRepository(options);
  if (repository === null) return new Set();
  const known = await lstat(repository.baseIndex).catch(() => null);
  const args = ['ls-files', '-z', '--others', '--ignored', '--exclude-standard', '--directory'];
  const answer = known ? await repository.run(repository.baseIndex, args) : null;
  if (answer?.kind !== 'exited') return new Set();
  const folders = splitRecords(answer.stdout).filter((path) => path.endsWith('/'));
  return new Set(folders.map((path) => path.slice(0, -1)));
};
