/** A workspace from whatever is called a repository. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { mirrorPaths } from '../../runner-image/src/workspace/mirror.ts';
import { prepareWorkspace, type WorkspaceRequest } from '../../runner-image/src/workspace/prepare-workspace.ts';
import { failed, leftOver, ready, request } from './workspace-results.ts';
import { contextFor, git, inherited, makeRepository, temporaryFolder, tripwire, write } from './workspace-support.ts';

describe('a workspace from a repository on disk', () => {
  it('checks out the remote HEAD, in an independent clone without shared files', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n', 'src/b.txt': 'two\n' });
    const result = ready(await prepareWorkspace(contextFor(root), request(repository)));
    expect(result).toMatchObject({ path: join(root, 'workspaces', 's1'), branch: 'main', mirror: 'cold' });
    expect(result.headCommit).toBe(git(repository, 'rev-parse', 'HEAD'));
    expect(readFileSync(join(result.path, 'src/b.txt'), 'utf8')).toBe('two\n');
    expect(git(result.path, 'status', '--porcelain')).toBe('');
    expect(git(result.path, 'remote', 'get-url', 'origin')).toBe(repository);
    expect(existsSync(join(result.path, '.git/objects/info/alternates'))).toBe(false);
    expect(existsSync(join(result.path, '.git/hooks'))).toBe(false);
    for (const entry of readdirSync(join(result.path, '.git'), { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) expect(statSync(join(entry.parentPath, entry.name)).nlink).toBe(1);
    }
    // Its own folder goes beside what follows.
    await vi.waitFor(() => expect(readdirSync(join(root, 'scratch'))).toEqual([]));
  });

  it('uses the mirror the second time and sees what was pushed or deleted since', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    git(repository, 'branch', 'old');
    ready(await prepareWorkspace(contextFor(root), request(repository)));
    write(repository, { 'a.txt': 'changed\n' });
    git(repository, 'commit', '-q', '-am', 'second');
    git(repository, 'branch', '-D', 'old');
    git(repository, 'branch', 'old/nested');
    const second = ready(await prepareWorkspace(contextFor(root), request(repository, { sessionId: 's2' })));
    expect(second.mirror).toBe('warm');
    expect(readFileSync(join(second.path, 'a.txt'), 'utf8')).toBe('changed\n');
    expect(git(second.path, 'branch', '-r')).toContain('origin/old/nested');
  });

  it('keeps a mirror per tenant', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    ready(await prepareWorkspace(contextFor(root), request(repository)));
    const other = ready(
      await prepareWorkspace(contextFor(root), request(repository, { sessionId: 's2', tenantId: 't2' })),
    );
    expect(other.mirror).toBe('cold');
  });

  it('checks out a branch, a tag, a short commit and a session branch', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    const first = git(repository, 'rev-parse', 'HEAD');
    git(repository, 'tag', '-a', 'v1', '-m', 'v1');
    git(repository, 'checkout', '-q', '-b', 'feature/ünï');
    write(repository, { 'a.txt': 'two\n' });
    git(repository, 'commit', '-q', '-am', 'second');
    const second = git(repository, 'rev-parse', 'HEAD');
    git(repository, 'checkout', '-q', 'main');
    const at = async (sessionId: string, more: Partial<WorkspaceRequest>) =>
      ready(await prepareWorkspace(contextFor(root), request(repository, { sessionId, ...more })));
    expect(await at('branch', { ref: 'feature/ünï' })).toMatchObject({ headCommit: second, branch: 'feature/ünï' });
    expect(await at('tag', { ref: 'v1' })).toMatchObject({ headCommit: first, branch: null });
    expect(await at('commit', { ref: second.slice(0, 10) })).toMatchObject({ headCommit: second, branch: null });
    const session = await at('session', { ref: 'v1', sessionBranch: 'village/s1' });
    expect(session).toMatchObject({ headCommit: first, branch: 'village/s1' });
    expect(git(session.path, 'symbolic-ref', '--short', 'HEAD')).toBe('village/s1');
  });

  it('takes file addresses, bare, shallow and sha256 repositories, and a detached remote HEAD', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a b.txt': 'one\n' }, join(temporaryFolder(), 'with space'));
    const inSession = (sessionId: string, url: string) =>
      prepareWorkspace(contextFor(root), request(url, { sessionId }));
    ready(await inSession('file', pathToFileURL(repository).href));
    write(repository, { 'a b.txt': 'two\n' });
    git(repository, 'commit', '-q', '-am', 'second');
    const copies = temporaryFolder();
    git(copies, 'clone', '-q', '--bare', repository, 'bare.git');
    ready(await inSession('bare', join(copies, 'bare.git')));
    git(copies, 'clone', '-q', '--depth=1', pathToFileURL(repository).href, 'shallow');
    ready(await inSession('shallow', join(copies, 'shallow')));
    git(repository, 'checkout', '-q', '--detach');
    git(repository, 'commit', '-q', '--allow-empty', '-m', 'loose');
    expect(ready(await inSession('detached', repository))).toMatchObject({
      branch: null,
      headCommit: git(repository, 'rev-parse', 'HEAD'),
    });
    const modern = join(copies, 'sha256');
    git(copies, 'init', '-q', '-b', 'main', '--object-format=sha256', modern);
    git(modern, 'commit', '-q', '--allow-empty', '-m', 'first');
    expect(ready(await inSession('sha256', modern)).headCommit).toHaveLength(64);
  });

  it('reads a repository of another owner', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('only root can give a repository away');
    const repository = makeRepository({ 'a.txt': 'one\n' });
    for (const path of ['', '.git']) chownSync(join(repository, path), 65534, 65534);
    ready(await prepareWorkspace(contextFor(temporaryFolder()), request(repository)));
  });
});

describe('what goes wrong has a reason, a hint and leaves no folder', () => {
  it.each([
    ['a path that does not exist', '/nonexistent/repository', {}, 'repository_not_found'],
    ['a relative path', 'some/folder', {}, 'unsupported_url'],
    ['another transport', 'ext::sh -c true', {}, 'unsupported_url'],
    ['an option as address', '--upload-pack=true', {}, 'unsupported_url'],
    ['plain http', 'http://example.com/a.git', {}, 'unsupported_url'],
    ['a closed port', 'http://127.0.0.1:9/a.git', {}, 'host_unreachable'],
  ] as const)('%s', async (_name, url, more, code) => {
    const root = temporaryFolder();
    const result = failed(await prepareWorkspace(contextFor(root), request(url, more)));
    expect(result.code).toBe(code);
    expect(result.message).toMatch(/^[A-Z].*\.$/s);
    expect(result.hint).toMatch(/^[A-Z].*\.$/s);
    expect(leftOver(root)).toEqual([]);
  });

  it.each([
    ['a branch that does not exist', { ref: 'nope' }, 'ref_not_found'],
    ['a commit that does not exist', { ref: 'deadbeef' }, 'ref_not_found'],
    ['an option as ref', { ref: '--upload-pack=true' }, 'ref_not_found'],
    ['a refspec as ref', { ref: 'main:refs/heads/x' }, 'ref_not_found'],
    ['a room that does not exist', { roomPath: 'rooms/none' }, 'room_not_found'],
    ['a room that is a file', { roomPath: 'a.txt' }, 'room_not_found'],
    ['a room behind a symbolic link', { roomPath: 'link' }, 'room_not_found'],
    ['a room outside', { roomPath: '../..' }, 'room_not_found'],
  ] as const)('%s', async (_name, more, code) => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n', 'rooms/one/x': '' });
    symlinkSync('rooms', join(repository, 'link'));
    git(repository, 'add', '-A');
    git(repository, 'commit', '-q', '-m', 'link');
    const result = failed(await prepareWorkspace(contextFor(root), request(repository, more)));
    expect(result.code).toBe(code);
    expect(leftOver(root)).toEqual([]);
  });

  it('an empty repository, and a folder that is none', async () => {
    const root = temporaryFolder();
    const empty = temporaryFolder();
    expect(failed(await prepareWorkspace(contextFor(root), request(empty))).code).toBe('repository_not_found');
    git(empty, 'init', '-q');
    expect(failed(await prepareWorkspace(contextFor(root), request(empty))).code).toBe('ref_not_found');
  });

  it("the runner's own folders are no repository", async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    ready(await prepareWorkspace(contextFor(root), request(repository)));
    const mirror = mirrorPaths(root, 't1', repository).folder;
    expect(existsSync(mirror)).toBe(true);
    const link = join(temporaryFolder(), 'link');
    symlinkSync(mirror, link);
    for (const url of [mirror, link]) {
      const stolen = await prepareWorkspace(contextFor(root), request(url, { sessionId: 's2', tenantId: 't2' }));
      expect(failed(stolen).code).toBe('unsupported_url');
    }
  });

  it('local paths are refused where they are switched off', async () => {
    const context = contextFor(temporaryFolder(), { sources: { local: false, loopbackHttp: false } });
    const result = await prepareWorkspace(context, request(makeRepository({ a: '' })));
    expect(failed(result).code).toBe('unsupported_url');
  });

  it('git is missing', async () => {
    const context = contextFor(temporaryFolder(), { inherited: { PATH: '/nonexistent' } });
    expect(failed(await prepareWorkspace(context, request(makeRepository({ a: '' })))).code).toBe('git_missing');
  });

  it('a workspace that exists is never overwritten', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    const first = ready(await prepareWorkspace(contextFor(root), request(repository)));
    writeFileSync(join(first.path, 'work.txt'), 'mine');
    expect(failed(await prepareWorkspace(contextFor(root), request(repository))).code).toBe('workspace_exists');
    expect(readFileSync(join(first.path, 'work.txt'), 'utf8')).toBe('mine');
  });

  it('an id that is no plain name throws', async () => {
    await expect(prepareWorkspace(contextFor(temporaryFolder()), request('/x', { sessionId: '../x' }))).rejects.toThrow(
      'not a session id',
    );
  });
});

describe('ssh', () => {
  it('asks the host for exactly the path, never interactively', async () => {
    const repository = makeRepository({ 'a.txt': 'one\n' });
    const bin = temporaryFolder();
    const log = join(bin, 'log');
    // Stands for the far side: logs how it was called and runs the last argument, as sshd would.
    const program = `#!/bin/sh\necho "$*" >> '${log}'\nfor last; do :; done\nexec sh -c "$last"\n`;
    writeFileSync(join(bin, 'ssh'), program, { mode: 0o755 });
    const context = contextFor(temporaryFolder(), { inherited: { PATH: `${bin}:${inherited.PATH}` } });
    const url = `ssh://git@host.invalid:2222${repository}`;
    const result = ready(await prepareWorkspace(context, request(url)));
    expect(git(result.path, 'remote', 'get-url', 'origin')).toBe(url);
    const asked = readFileSync(log, 'utf8');
    expect(asked).toContain('-oBatchMode=yes');
    expect(asked).toContain(`-p 2222 git@host.invalid git-upload-pack '${repository}'`);
  });
});

describe('a hostile repository on disk', () => {
  it('runs none of the programs its configuration and attributes name', async () => {
    const trip = tripwire();
    const repository = makeRepository({
      'a.txt': 'one\n',
      '.gitattributes': '* filter=evil diff=evil merge=evil\n',
      '.gitmodules': `[submodule "x"]\n\tpath = x\n\turl = ext::${trip.program}\n\tupdate = !${trip.program}\n`,
    });
    for (const hook of ['post-checkout', 'reference-transaction', 'post-index-change', 'pre-auto-gc', 'update']) {
      write(repository, { [`.git/hooks/${hook}`]: `#!/bin/sh\necho hook >> '${trip.mark}'\n` });
      chmodSync(join(repository, '.git/hooks', hook), 0o755);
    }
    git(repository, 'update-index', '--add', '--cacheinfo', `160000,${git(repository, 'rev-parse', 'HEAD')},x`);
    git(repository, 'commit', '-q', '--no-verify', '-m', 'submodule', '--no-gpg-sign');
    for (const [name, value] of [
      ['filter.evil.smudge', trip.program],
      ['filter.evil.clean', trip.program],
      ['filter.evil.process', trip.program],
      ['core.fsmonitor', trip.program],
      ['core.sshCommand', trip.program],
      ['core.pager', trip.program],
      ['uploadpack.packObjectsHook', trip.program],
      ['core.alternateRefsCommand', trip.program],
      ['remote.origin.uploadpack', trip.program],
      ['credential.helper', trip.program],
      ['gpg.program', trip.program],
    ] as const) {
      git(repository, 'config', name, value);
    }
    const before = trip.fired();
    const result = ready(await prepareWorkspace(contextFor(temporaryFolder()), request(repository)));
    expect(trip.fired()).toBe(before);
    expect(readFileSync(join(result.path, 'a.txt'), 'utf8')).toBe('one\n');
    expect(readdirSync(join(result.path, 'x'))).toEqual([]);
    expect(readFileSync(join(result.path, '.git/config'), 'utf8')).not.toContain(trip.program);
  });

  it('writes through no link, also when a tree holds a link and a folder of one name', async () => {
    const outside = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    const store =
      (...args: string[]) =>
      (input: string) =>
        execFileSync('git', args, {
          cwd: repository,
          input,
          encoding: 'utf8',
          env: { ...inherited, HOME: repository },
        }).trim();
    const blob = store('hash-object', '-w', '--stdin');
    const tree = store('mktree');
    const inner = tree(`100755 blob ${blob('#!/bin/sh\n')}\tpost-checkout\n`);
    const link = blob(outside);
    const both = tree(
      `120000 blob ${link}\ta\n040000 tree ${inner}\ta\n120000 blob ${blob('.git/hooks')}\tb\n040000 tree ${inner}\tb\n`,
    );
    git(repository, 'update-ref', 'refs/heads/odd', git(repository, 'commit-tree', '-m', 'odd', both));
    const root = temporaryFolder();
    await prepareWorkspace(contextFor(root), request(repository, { ref: 'odd' }));
    expect(readdirSync(outside)).toEqual([]);
    expect(existsSync(join(root, 'workspaces/s1/.git/hooks/post-checkout'))).toBe(false);
  });
});
