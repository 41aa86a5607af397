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

type Supported = Exclude<RepositoryLocation, { kind: 'unsupported' }>;

/** The repository of a location, or why it may not be read. */
export const sourceOf = async (root: string, location: Supported): Promise<Source | WorkspaceFailure> =>
  location.kind === 'local'
    ? localSource(root, location.path)
    : { fetchUrl: location.url, protocols: [location.protocol], trusted: [] };

/** As whom a remote is asked: with the token, or else with what stands in the address. */
export const authorizationOf = (
  location: Supported,
  { token, username = 'x-access-token' }: { readonly token?: string; readonly username?: string },
): NonNullable<GitCall['authorization']> | undefined => {
  if (location.kind === 'local' || location.origin === null) return undefined;
  const credentials = token === undefined ? location.credentials : `${username}:${token}`;
  if (credentials === null) return undefined;
  return { origin: location.origin, header: `Authorization: Basic ${Buffer.from(credentials).toString('base64')}` };
};
