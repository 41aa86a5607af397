/** Real git repositories in throw-away folders, for the tests of the runner's workspaces. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach } from 'vitest';
import { inheritedVariables } from '../../runner-image/src/workspace/git-environment.ts';
import type { WorkspaceContext } from '../../runner-image/src/workspace/prepare-workspace.ts';
import { systemClock } from '../../shared/clock.ts';

const folders: string[] = [];

/** A folder that is gone after the test. */
export const temporaryFolder = (): string => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'workspace-test-')));
  folders.push(folder);
  return folder;
};

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

export const inherited = inheritedVariables({ PATH: process.env.PATH });

const AUTHOR = {
  GIT_AUTHOR_NAME: 'A',
  GIT_AUTHOR_EMAIL: 'a@example.com',
  GIT_AUTHOR_DATE: '2026-01-01T00:00:00Z',
  GIT_COMMITTER_NAME: 'A',
  GIT_COMMITTER_EMAIL: 'a@example.com',
  GIT_COMMITTER_DATE: '2026-01-01T00:00:00Z',
};

/** git as a person or an agent runs it, apart from their settings. Returns trimmed standard output. */
export const git = (cwd: string, ...args: string[]): string =>
  execFileSync('git', args, {
    cwd,
    encoding: 'utf8',
    timeout: 30_000,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, ...AUTHOR, HOME: cwd, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', LC_ALL: 'C' },
  }).trim();

export const write = (folder: string, files: Readonly<Record<string, string>>): void => {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
};

/** A repository on branch `main` whose first commit holds `files`. */
export const makeRepository = (
  files: Readonly<Record<string, string>>,
  folder = join(temporaryFolder(), 'repository'),
) => {
  mkdirSync(folder, { recursive: true });
  git(folder, 'init', '-q', '-b', 'main');
  write(folder, files);
  git(folder, 'add', '-A');
  git(folder, 'commit', '-q', '-m', 'first');
  return folder;
};

export const contextFor = (root: string, more: Partial<WorkspaceContext> = {}): WorkspaceContext => ({
  root,
  sources: { local: true, loopbackHttp: true },
  clock: systemClock,
  inherited,
  ...more,
});

/** A program that leaves a mark when anything runs it; `fired` tells. */
export const tripwire = () => {
  const folder = temporaryFolder();
  const mark = join(folder, 'fired');
  const program = join(folder, 'trip.sh');
  writeFileSync(program, `#!/bin/sh\necho "$0 $*" >> '${mark}'\ncat\n`, { mode: 0o755 });
  return { program, mark, fired: () => (existsSync(mark) ? readFileSync(mark, 'utf8') : null) };
};
