/** A checkpoint of a real clone, put into a fresh clone: everything a person or an agent may have left there comes back. */

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cloneOf, make, type Place, restore, treeOf } from './checkpoint-support.ts';
import { git, makeRepository, temporaryFolder, tripwire, write } from './workspace-support.ts';

const BASE = {
  'README.md': 'one\ntwo\nthree\n',
  'src/a.ts': 'a\n',
  'src/b.ts': 'b\n',
  'docs/guide.md': 'guide\n',
  'gone/x.txt': 'x\n',
  'run.sh': 'echo\n',
  '.gitignore': 'node_modules/\n.env\nbuild/\n*.log\n',
  '.gitattributes': '*.crlf text eol=crlf\n',
  'lines.crlf': 'one\ntwo\n',
};

const makeOrThrow = async (place: Place, more: Parameters<typeof make>[1] = {}) => {
  const made = await make(place, more);
  if (made.kind === 'failed') throw new Error(`${made.code}: ${made.message}`);
  return made;
};

/** What git says of a work tree, in a form that two clones share. */
const stateOf = (folder: string) => ({
  status: git(folder, 'status', '--porcelain=v2', '--branch', '--untracked-files=all', '--ignored=no')
    .split('\n')
    .filter((line) => !line.startsWith('# branch.upstream') && !line.startsWith('# branch.ab')),
  staged: git(folder, 'diff', '--cached', '--raw', '--no-abbrev'),
  stages: git(folder, 'ls-files', '--stage'),
  heads: git(folder, 'for-each-ref', 'refs/heads', 'refs/tags', 'refs/stash'),
  log: git(folder, 'log', '--format=%H %s', '--all', '--not', '--remotes'),
  stash: git(folder, 'stash', 'list', '--format=%H %gd'),
});

const same = async (url: string, place: Place) => {
  const made = await makeOrThrow(place);
  const restored = await restore(made.file.path, url);
  expect(restored.result).toEqual({ kind: 'restored', conversationFiles: 0, leftOut: [] });
  const there = [...treeOf(restored.place.workspace)].map(([path, what]) => [
    path,
    what.replace(restored.place.workspace, place.workspace),
  ]);
  expect(there).toEqual([...treeOf(place.workspace)]);
  expect(stateOf(restored.place.workspace)).toEqual(stateOf(place.workspace));
  git(restored.place.workspace, 'fsck', '--no-dangling', '--connectivity-only');
  return { made, ...restored };
};

const copyProgram = (from: string, to: string): void => {
  rmSync(to, { force: true });
  copyFileSync(from, to);
  chmodSync(to, 0o755);
};

describe('a checkpoint', () => {
  it('of a clone nobody touched restores to the same', async () => {
    const url = makeRepository(BASE);
    await same(url, await cloneOf(url));
  });

  it('brings back commits, what is staged, what is not, deletions, renames, modes, links and new files', async () => {
    const url = makeRepository(BASE);
    const place = await cloneOf(url);
    const { workspace } = place;
    git(workspace, 'checkout', '-q', '-b', 'work/one');
    git(workspace, 'config', 'user.name', 'Agent');
    write(workspace, { 'src/committed.ts': 'c\n', 'README.md': 'one\n2\nthree\n' });
    git(workspace, 'add', '-A');
    git(workspace, 'commit', '-q', '-m', 'work');
    git(workspace, 'tag', '-a', 'mine', '-m', 'm');
    write(workspace, { 'README.md': 'stashed\n' });
    git(workspace, 'stash', '-q');
    write(workspace, { 'docs/guide.md': 'stashed too\n' });
    git(workspace, 'stash', '-q');
    // Staged in one form, on disk in another.
    write(workspace, { 'src/a.ts': 'staged\n' });
    git(workspace, 'add', 'src/a.ts');
    write(workspace, { 'src/a.ts': 'on disk\n' });
    renameSync(join(workspace, 'src/b.ts'), join(workspace, 'src/renamed.ts'));
    git(workspace, 'add', '-A', 'src/b.ts', 'src/renamed.ts');
    rmSync(join(workspace, 'gone'), { recursive: true });
    chmodSync(join(workspace, 'run.sh'), 0o755);
    write(workspace, { gone2: 'a file where no folder was', 'new/deep/file.txt': 'new\n', '.env': 'SECRET=1\n' });
    git(workspace, 'add', '-N', 'gone2');
    symlinkSync('../src/a.ts', join(workspace, 'new/link'));
    symlinkSync(join(workspace, 'src'), join(workspace, 'absolute'));
    write(workspace, { 'lines.crlf': 'one\ntwo\n' });
    chmodSync(join(workspace, 'new/deep/file.txt'), 0o600);
    const { place: other } = await same(url, place);
    expect(git(other.workspace, 'config', 'user.name')).toBe('Agent');
    expect(git(other.workspace, 'show', 'stash@{1}:README.md')).toBe('stashed');
    expect(git(other.workspace, 'rev-parse', '--abbrev-ref', 'HEAD')).toBe('work/one');
  });

  it('brings back a merge in the middle, with its stages', async () => {
    const url = makeRepository(BASE);
    const place = await cloneOf(url);
    const { workspace } = place;
    git(workspace, 'checkout', '-q', '-b', 'other');
    write(workspace, { 'README.md': 'other\n' });
    git(workspace, 'commit', '-qam', 'other');
    git(workspace, 'checkout', '-q', 'main');
    write(workspace, { 'README.md': 'mine\n' });
    git(workspace, 'commit', '-qam', 'mine');
    expect(() => git(workspace, 'merge', 'other')).toThrow();
    const { place: there } = await same(url, place);
    write(there.workspace, { 'README.md': 'both\n' });
    git(there.workspace, 'commit', '-qam', 'merged');
    expect(git(there.workspace, 'log', '-1', '--format=%p').split(' ')).toHaveLength(2);
  });

  it('brings back a detached HEAD, a branch without a commit, and a removed index', async () => {
    const url = makeRepository(BASE);
    for (const act of [
      (at: string) => git(at, 'checkout', '-q', '--detach'),
      (at: string) => git(at, 'checkout', '-q', '--orphan', 'fresh'),
    ]) {
      const place = await cloneOf(url);
      act(place.workspace);
      const made = await makeOrThrow(place);
      const { place: there } = await restore(made.file.path, url);
      for (const args of [
        ['status', '--porcelain'],
        ['ls-files', '-s'],
      ])
        expect(git(there.workspace, ...args)).toBe(git(place.workspace, ...args));
      expect(readFileSync(join(there.workspace, '.git/HEAD'), 'utf8')).toBe(
        readFileSync(join(place.workspace, '.git/HEAD'), 'utf8'),
      );
    }
    const place = await cloneOf(url);
    rmSync(join(place.workspace, '.git/index'));
    write(place.workspace, { 'src/a.ts': 'changed\n' });
    const { place: there } = await restore((await makeOrThrow(place)).file.path, url);
    expect(git(there.workspace, 'status', '--porcelain')).toBe('M src/a.ts');
  });

  it('goes on from a commit that is no branch’s newest, while the remote moves on', async () => {
    const url = makeRepository(BASE);
    const place = await cloneOf(url);
    write(place.workspace, { 'mine.txt': 'mine\n' });
    git(place.workspace, 'checkout', '-q', '-b', 'work');
    git(place.workspace, 'add', '-A');
    git(place.workspace, 'commit', '-qm', 'mine');
    const made = await makeOrThrow(place);
    write(url, { 'theirs.txt': 'theirs\n' });
    git(url, 'add', '-A');
    git(url, 'commit', '-qm', 'theirs');
    const { place: there } = await restore(made.file.path, url);
    expect(git(there.workspace, 'status', '--porcelain')).toBe('');
    expect(existsSync(join(there.workspace, 'theirs.txt'))).toBe(false);
    expect(git(there.workspace, 'log', '--format=%s')).toBe('mine\nfirst');
    expect(git(there.workspace, 'log', '-1', '--format=%s', 'origin/main')).toBe('theirs');
  });

  it('carries repositories within the work tree and names that are no text', async () => {
    const url = makeRepository(BASE);
    const place = await cloneOf(url);
    const { workspace } = place;
    git(workspace, 'clone', '-q', url, join(workspace, 'inner'));
    write(workspace, { 'inner/README.md': 'inner changed\n' });
    writeFileSync(Buffer.concat([Buffer.from(`${workspace}/`), Buffer.from([0x61, 0xff, 0xfe, 0x20, 0x0a])]), 'odd');
    write(workspace, { '-rf': 'dash', 'a\tb\\"': 'quoted', [`${'long/'.repeat(60)}${'n'.repeat(200)}`]: 'long' });
    const made = await makeOrThrow(place);
    const { place: there } = await restore(made.file.path, url);
    expect(treeOf(there.workspace)).toEqual(treeOf(workspace));
    expect(git(join(there.workspace, 'inner'), 'status', '--porcelain')).toBe('M README.md');
  });

  it('leaves out what is ignored and large, whole and by name, and keeps what is small', async () => {
    const url = makeRepository(BASE);
    const place = await cloneOf(url);
    write(place.workspace, { 'build/out.js': 'built\n', 'app.log': 'log\n', 'node_modules/a/index.js': 'a\n' });
    mkdirSync(join(place.workspace, 'node_modules/big'));
    // Sparse: it takes no room on the disk, and must take no time either.
    writeFileSync(join(place.workspace, 'node_modules/big/file'), '');
    truncateSync(join(place.workspace, 'node_modules/big/file'), 50 * 1024 ** 3);
    const made = await makeOrThrow(place);
    expect(made.leftOut).toEqual(['node_modules/']);
    const { place: there, result } = await restore(made.file.path, url);
    expect(result).toMatchObject({ kind: 'restored', leftOut: ['node_modules/'] });
    expect([...treeOf(there.workspace).keys()]).toEqual(expect.arrayContaining(['build/out.js', 'app.log']));
    expect(existsSync(join(there.workspace, 'node_modules'))).toBe(false);
  });

  it('is the same file again when nothing has changed', async () => {
    const url = makeRepository(BASE);
    const place = await cloneOf(url);
    write(place.workspace, { 'src/a.ts': 'changed\n', 'b.bin': 'b'.repeat(100_000) });
    git(place.workspace, 'add', '-A');
    const first = await makeOrThrow(place);
    expect((await makeOrThrow(place)).file.sha256).toBe(first.file.sha256);
    write(place.workspace, { 'src/a.ts': 'changed again\n' });
    expect((await makeOrThrow(place)).file.sha256).not.toBe(first.file.sha256);
  });
});

describe('a hostile work tree', () => {
  it('starts nothing, on neither side', async () => {
    const url = makeRepository(BASE);
    const trip = tripwire();
    const place = await cloneOf(url);
    const { workspace } = place;
    write(workspace, { '.gitattributes': '* filter=trip diff=trip merge=trip\n', 'src/a.ts': 'changed\n' });
    for (const [name, value] of [
      ['filter.trip.clean', trip.program],
      ['filter.trip.smudge', trip.program],
      ['filter.trip.process', trip.program],
      ['diff.external', trip.program],
      ['diff.trip.textconv', trip.program],
      ['core.fsmonitor', trip.program],
      ['core.hooksPath', join(workspace, '.git/hooks')],
      ['core.sshCommand', trip.program],
      ['core.pager', trip.program],
      ['include.path', join(workspace, 'more')],
    ] as const)
      execFileSync('git', ['-C', workspace, 'config', name, value], { env: { PATH: process.env.PATH, HOME: '/' } });
    write(workspace, { more: `[core]\n\tfsmonitor = ${trip.program}\n` });
    mkdirSync(join(workspace, '.git/hooks'), { recursive: true });
    for (const hook of ['post-checkout', 'post-index-change', 'reference-transaction', 'pre-auto-gc'])
      copyProgram(trip.program, join(workspace, '.git/hooks', hook));
    const made = await makeOrThrow(place);
    const { place: there, result } = await restore(made.file.path, url);
    expect(result.kind).toBe('restored');
    expect(trip.fired()).toBeNull();
    expect(treeOf(there.workspace)).toEqual(treeOf(workspace));
  });

  it('brings nothing in from outside: links, pipes, borrowed objects', async () => {
    const url = makeRepository(BASE);
    const outside = temporaryFolder();
    write(outside, { 'secret.txt': 'canary', 'repo/objects/pack/x': '' });
    const place = await cloneOf(url);
    const { workspace } = place;
    symlinkSync(join(outside, 'secret.txt'), join(workspace, 'leak'));
    symlinkSync('../../../../etc/passwd', join(workspace, 'src/up'));
    rmSync(join(workspace, 'docs'), { recursive: true });
    symlinkSync(outside, join(workspace, 'docs'));
    execFileSync('mkfifo', [join(workspace, 'pipe')]);
    for (const name of ['.git/MERGE_MSG', '.git/info/exclude']) {
      rmSync(join(workspace, name), { force: true });
      mkdirSync(join(workspace, '.git/info'), { recursive: true });
      symlinkSync(join(outside, 'secret.txt'), join(workspace, name));
    }
    const conversations = join(temporaryFolder(), 'conversations');
    mkdirSync(conversations);
    symlinkSync(join(outside, 'secret.txt'), join(conversations, 'a.jsonl'));
    writeFileSync(join(conversations, 'b.jsonl'), 'said\n');
    const made = await makeOrThrow(place, { conversations });
    expect([...made.leftOut].sort()).toEqual(['docs', 'leak', 'src/up']);
    const into = join(temporaryFolder(), 'fresh', 'conversations');
    const { place: there, result } = await restore(made.file.path, url, into);
    expect(result).toMatchObject({ kind: 'restored', conversationFiles: 1 });
    const all = [...treeOf(there.workspace), ...treeOf(into)].flat().join('\n');
    expect(all).not.toContain('canary');
    expect(all).toContain('said');
    expect(existsSync(join(there.workspace, 'docs'))).toBe(false);

    mkdirSync(join(workspace, '.git/objects/info'), { recursive: true });
    writeFileSync(join(workspace, '.git/objects/info/alternates'), `${join(outside, 'repo/objects')}\n`);
    expect(await make(place)).toMatchObject({ kind: 'failed', code: 'checkpoint_failed' });
  });

  it('that is too large is told so, quickly', async () => {
    const url = makeRepository(BASE);
    const place = await cloneOf(url);
    writeFileSync(join(place.workspace, 'huge'), '');
    truncateSync(join(place.workspace, 'huge'), 100 * 1024 ** 3);
    expect(await make(place)).toMatchObject({ kind: 'failed', code: 'checkpoint_too_large' });
    rmSync(join(place.workspace, 'huge'));
    write(place.workspace, { random: Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString('latin1') });
    expect(await make(place, { limits: { maxBytes: 20_000 } })).toMatchObject({ code: 'checkpoint_too_large' });
    expect(await make(place, { signal: AbortSignal.abort() })).toMatchObject({ kind: 'failed', code: 'cancelled' });
  });

  it('without a repository fails with a reason', async () => {
    const url = makeRepository(BASE);
    const place = await cloneOf(url);
    renameSync(join(place.workspace, '.git/HEAD'), join(place.workspace, '.git/HEAD2'));
    expect(await make(place)).toMatchObject({ kind: 'failed', code: 'checkpoint_failed' });
    rmSync(join(place.workspace, '.git'), { recursive: true });
    expect(await make(place)).toMatchObject({ kind: 'failed', code: 'checkpoint_failed' });
  });
});
