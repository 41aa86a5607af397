/** What git is to fetch from, by which transport and as whom. */
import { realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { GitCall } from './git.ts';
import { failure, type WorkspaceFailure } from './git-failure.ts';
import type { RepositoryLocation } from './repository-url.ts';

export interface Source {
  /** What git fetches from. */
  readonly fetchUrl: string;
  readonly protocols: GitCall['protocols'];
  readonly trusted: readonly string[];
  readonly authorization?: NonNullable<GitCall['authorization']>;
}

const notThere = () =>
  failure(
    'repository_not_found',
    'There is no git repository at this path.',
    'Check the path; it must be on the machine of the runner.',
  );

const localSource = async (root: string, path: string): Promise<Source | WorkspaceFailure> => {
  let real: string;
  try {
    real = await realpath(path);
    if (!(await stat(real)).isDirectory()) return notThere();
  } catch {
    // Missing, unreadable or a loop of links: for the person it is the same.
    return notThere();
  }
  const realRoot = await realpath(root);
  if (real === realRoot || real.startsWith(realRoot + sep)) {
    return failure(
      'unsupported_url',
      'This path belongs to the runner itself.',
      'Name a repository outside the workspace root.',
    );
  }
  return { fetchUrl: real, protocols: ['file'], trusted: [real, join(real, '.git')] };
};

/** The repository of a location, as whoever has these credentials; or why it may not be read. */
export const sourceOf = async (
  root: string,
  location: Exclude<RepositoryLocation, { kind: 'unsupported' }>,
  { token, username = 'x-access-token' }: { readonly token?: string; readonly username?: string },
): Promise<Source | WorkspaceFailure> => {
  if (location.kind === 'local') return localSource(root, location.path);
  const credentials = token === undefined ? location.credentials : `${username}:${token}`;
  const header = credentials === null ? null : `Authorization: Basic ${Buffer.from(credentials).toString('base64')}`;
  return {
    fetchUrl: location.url,
    protocols: [location.protocol],
    trusted: [],
    ...(location.origin !== null && header !== null ? { authorization: { origin: location.origin, header } } : {}),
  };
};
