/** The mirror behind the workspaces: shared, locked, broken, repaired. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { type RunGit, runGit } from '../../runner-image/src/workspace/git.ts';
import { mirrorPaths } from '../../runner-image/src/workspace/mirror.ts';
import { lockMirror } from '../../runner-image/src/workspace/mirror-lock.ts';
import { prepareWorkspace, type WorkspaceRequest } from '../../runner-image/src/workspace/prepare-workspace.ts';
import { beginChange, steadyMirror } from '../../runner-image/src/workspace/steady-mirror.ts';
import { failed, leftOver, ready, request } from './workspace-results.ts';
import { contextFor, git, inherited, makeRepository, temporaryFolder, write } from './workspace-support.ts';

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
