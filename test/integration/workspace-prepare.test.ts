import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
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
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { type RunGit, runGit } from '../../runner-image/src/workspace/git.ts';
import { mirrorPaths } from '../../runner-image/src/workspace/mirror.ts';
import { lockMirror } from '../../runner-image/src/workspace/mirror-lock.ts';
import {
  prepareWorkspace,
  type WorkspaceRequest,
  type WorkspaceResult,
} from '../../runner-image/src/workspace/prepare-workspace.ts';
import { beginChange, steadyMirror } from '../../runner-image/src/workspace/steady-mirror.ts';
import { contextFor, git, inherited, makeRepository, temporaryFolder, tripwire, write } from './workspace-support.ts';

const request = (url: string, more: Partial<WorkspaceRequest> = {}): WorkspaceRequest => ({
  sessionId: 's1',
  tenantId: 't1',
  url,
  ...more,
});

const ready = (result: WorkspaceResult) => {
  if (result.kind !== 'ready') throw new Error(`${result.code}: ${result.message}`);
  return result;
};

const failed = (result: WorkspaceResult) => {
  if (result.kind !== 'failed') throw new Error('expected a failure');
  return result;
};

const leftOver = (root: string) => (existsSync(join(root, 'workspaces')) ? readdirSync(join(root, 'workspaces')) : []);

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

describe('many sessions and crashes', () => {
  it('two sessions of one repository prepare at once', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    const all = await Promise.all(
      ['s1', 's2', 's3'].map((sessionId) => prepareWorkspace(contextFor(root), request(repository, { sessionId }))),
    );
    expect(all.map((result) => ready(result).mirror).sort()).toEqual(['cold', 'warm', 'warm']);
  });

  it('waits for a held lock, gives up in time, and goes on when the holder is gone', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    ready(await prepareWorkspace(contextFor(root), request(repository)));
    const path = mirrorPaths(root, 't1', repository).lock;
    const held = await lockMirror({ path, timeoutMs: 5_000, inherited });
    if (held.kind !== 'locked') throw new Error('not locked');
    // A mirror that nobody changes and that is current needs no lock; this one must be fetched into.
    git(repository, 'commit', '-q', '--allow-empty', '-m', 'second');
    const quick = contextFor(root, { limits: { lockMs: 100 } });
    expect(failed(await prepareWorkspace(quick, request(repository, { sessionId: 's2' }))).code).toBe('timeout');
    const waiting = prepareWorkspace(contextFor(root), request(repository, { sessionId: 's3' }));
    await held.release();
    expect(ready(await waiting).mirror).toBe('warm');
  });

  it('a holder that was killed does not wedge the mirror', async () => {
    const path = join(temporaryFolder(), 'lock');
    const script = `
      import { lockMirror } from ${JSON.stringify(resolve('runner-image/src/workspace/mirror-lock.ts'))};
      const held = await lockMirror(${JSON.stringify({ path, timeoutMs: 5_000, inherited })});
      console.log(held.kind);
      setInterval(() => {}, 1_000);
    `;
    const holder = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 20_000,
      env: {},
    });
    try {
      expect(String(await once(holder.stdout, 'data'))).toBe('locked\n');
      expect(await lockMirror({ path, timeoutMs: 100, inherited })).toEqual({ kind: 'timeout' });
      holder.kill('SIGKILL');
      const next = await lockMirror({ path, timeoutMs: 10_000, inherited });
      expect(next.kind).toBe('locked');
      if (next.kind === 'locked') await next.release();
    } finally {
      holder.kill('SIGKILL');
    }
  });

  it('a mirror left half made, locked or broken by a crash is repaired', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    const prepare = async (sessionId: string) =>
      ready(await prepareWorkspace(contextFor(root), request(repository, { sessionId })));
    await prepare('s1');
    const { folder } = mirrorPaths(root, 't1', repository);
    write(folder, { 'packed-refs.lock': '', 'HEAD.lock': '', 'refs/heads/main.lock': '' });
    git(repository, 'commit', '-q', '--allow-empty', '-m', 'second');
    expect((await prepare('s2')).mirror).toBe('warm');
    writeFileSync(join(folder, 'config'), 'not a config');
    expect((await prepare('s3')).mirror).toBe('cold');
    writeFileSync(join(folder, 'HEAD'), '');
    expect((await prepare('s4')).mirror).toBe('cold');
  });

  it('names the repository it came from, whatever its path holds', async () => {
    const folder = join(temporaryFolder(), 'a "quoted" \\ #odd; $one');
    const repository = makeRepository({ 'a.txt': 'one\n' }, folder);
    for (const root of [temporaryFolder(), join(temporaryFolder(), 'a "root" # \\')]) {
      const { path } = ready(await prepareWorkspace(contextFor(root), request(repository)));
      expect(git(path, 'remote', 'get-url', 'origin')).toBe(repository);
      expect(readFileSync(join(path, '.git/config'), 'utf8')).not.toContain('mirrors');
    }
  });

  it('fetches what is new and nothing else', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    let session = 0;
    const prepare = async () => {
      const calls: string[] = [];
      const git: RunGit = (call) => {
        calls.push(call.args.find((arg) => ['fetch', 'clone', 'ls-remote'].includes(arg)) ?? 'other');
        return runGit(call);
      };
      session += 1;
      const { mirror, path } = ready(
        await prepareWorkspace({ ...contextFor(root), git }, request(repository, { sessionId: `s${session}` })),
      );
      const branches = execFileSync('git', ['branch', '-r', '--format=%(refname:short) %(objectname)'], { cwd: path });
      return { mirror, hasFetched: calls.includes('fetch'), branches: branches.toString() };
    };
    const settled = () =>
      vi.waitFor(() => {
        const { folder } = mirrorPaths(root, 't1', repository);
        expect(readFileSync(join(folder, 'village-complete'), 'utf8')).not.toBe('');
      });
    expect(await prepare()).toMatchObject({ mirror: 'cold', hasFetched: true });
    await settled();
    const second = await prepare();
    expect(second).toMatchObject({ mirror: 'warm', hasFetched: false });
    // Whatever changes anywhere: a branch that is new or gone, a tag, a commit, the default branch.
    const changes: readonly (readonly string[])[] = [
      ['branch', 'other'],
      ['tag', '-am', 'note', 'v1'],
      ['branch', '-m', 'other', 'renamed'],
      ['commit', '-q', '--allow-empty', '-m', 'second'],
      ['symbolic-ref', 'HEAD', 'refs/heads/renamed'],
    ];
    for (const change of changes) {
      git(repository, ...change);
      expect([change, (await prepare()).hasFetched]).toEqual([change, true]);
      await settled();
      expect([change, (await prepare()).hasFetched]).toEqual([change, false]);
    }
    const { branches } = await prepare();
    expect(branches).toContain(`origin/main ${git(repository, 'rev-parse', 'main')}`);
    expect(branches).toContain('origin/renamed');
    expect(branches).not.toContain('origin/other');
  });

  it('copies a current mirror without its lock, and throws the copy away when the mirror changed meanwhile', async () => {
    const root = temporaryFolder();
    const repository = makeRepository({ 'a.txt': 'one\n' });
    git(repository, 'branch', 'feature/x');
    ready(await prepareWorkspace(contextFor(root), request(repository)));
    const { folder, lock } = mirrorPaths(root, 't1', repository);
    await vi.waitFor(async () => expect(await steadyMirror(folder)).not.toBeNull());
    const held = await lockMirror({ path: lock, timeoutMs: 5_000, inherited });
    if (held.kind !== 'locked') throw new Error('not locked');
    const at = async (sessionId: string, more: Partial<WorkspaceRequest> = {}, run: RunGit = runGit) =>
      prepareWorkspace(
        { ...contextFor(root, { limits: { lockMs: 100 } }), git: run },
        request(repository, { sessionId, ...more }),
      );
    const head = git(repository, 'rev-parse', 'HEAD');
    expect(ready(await at('s2'))).toMatchObject({ branch: 'main', headCommit: head, mirror: 'warm' });
    const feature = ready(await at('s3', { ref: 'refs/heads/feature/x' }));
    expect(feature).toMatchObject({ branch: 'feature/x', headCommit: head });
    const own = ready(await at('s4', { ref: 'feature/x', sessionBranch: 'village/s4' }));
    expect(own).toMatchObject({ branch: 'village/s4', headCommit: head });
    for (const { path } of [feature, own]) {
      expect(git(path, 'status', '--porcelain')).toBe('');
      expect(git(path, 'remote', 'get-url', 'origin')).toBe(repository);
      expect(readFileSync(join(path, 'a.txt'), 'utf8')).toBe('one\n');
    }
    expect(git(feature.path, 'rev-parse', '--abbrev-ref', '@{upstream}')).toBe('origin/feature/x');
    // Somebody begins to change the mirror while it is copied: then only the lock, which is held here, is good enough.
    const disturbed: RunGit = async (call) => {
      const result = await runGit(call);
      if (call.args.includes('clone')) await beginChange(folder);
      return result;
    };
    expect(failed(await at('s5', {}, disturbed)).code).toBe('timeout');
    expect(leftOver(root)).not.toContain('s5');
    await held.release();
    ready(await at('s5'));
    // Which has said again that nobody changes it.
    await vi.waitFor(async () => expect(await steadyMirror(folder)).not.toBeNull());
  });

  it('a git that hangs is killed with everything it started, and so is one that is cancelled', async () => {
    const root = temporaryFolder();
    const bin = temporaryFolder();
    const pids = join(bin, 'pids');
    writeFileSync(join(bin, 'ssh'), `#!/bin/sh\necho $$ >> '${pids}'\nsleep 60 & echo $! >> '${pids}'\nwait\n`);
    chmodSync(join(bin, 'ssh'), 0o755);
    const slow = { inherited: { PATH: `${bin}:${inherited.PATH}` } };
    const gone = () =>
      readFileSync(pids, 'utf8')
        .trim()
        .split('\n')
        .every((pid) => !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '));
    const timed = contextFor(root, { ...slow, limits: { probeMs: 400 } });
    expect(failed(await prepareWorkspace(timed, request('git@host.invalid:a/b.git'))).code).toBe('timeout');
    await expect.poll(gone).toBe(true);
    const controller = new AbortController();
    const cancelled = prepareWorkspace(
      contextFor(root, { ...slow, signal: controller.signal }),
      request('ssh://git@host.invalid/a/b.git'),
    );
    await expect.poll(() => readFileSync(pids, 'utf8').trim().split('\n').length).toBe(4);
    controller.abort();
    expect(failed(await cancelled).code).toBe('cancelled');
    await expect.poll(gone).toBe(true);
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
