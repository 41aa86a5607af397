import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type FileWatcher,
  type WatchOptions,
  type WatchReport,
  watchWorkspace,
} from '../../runner-image/src/workspace/file-watcher.ts';
import { systemClock } from '../../shared/clock.ts';
import { git, inherited, makeRepository, temporaryFolder, write } from './workspace-support.ts';

const watchers: FileWatcher[] = [];
afterEach(async () => {
  await Promise.all(watchers.splice(0).map((watcher) => watcher.close()));
});

const start = async (files: Readonly<Record<string, string>>, limits: NonNullable<WatchOptions['limits']> = {}) => {
  const workspace = makeRepository(files);
  write(workspace, { 'node_modules/p/index.js': '', 'dist/out/x.js': '' });
  const reports: WatchReport[] = [];
  const watcher = await watchWorkspace({
    workspace,
    scratch: join(temporaryFolder(), 'scratch'),
    baseCommit: git(workspace, 'rev-parse', 'HEAD'),
    inherited,
    clock: systemClock,
    limits: { batchMs: 20, ...limits },
    onReport: (report) => reports.push(report),
  });
  watchers.push(watcher);
  const changes = () => reports.flatMap((report) => (report.kind === 'changes' ? report.changes : []));
  const seen = () => new Map(changes().map(({ path, kind }) => [path, kind]));
  const overflows = () => reports.flatMap((report) => (report.kind === 'overflow' ? [report.reason] : []));
  /** Everything before this file was seen has been reported, as far as it ever will be. */
  const fence = async (name: string) => {
    writeFileSync(join(workspace, name), 'x');
    await expect.poll(() => seen().has(name)).toBe(true);
  };
  return { workspace, watcher, seen, overflows, changes, fence };
};

const FILES = { 'a.txt': 'a\n', 'b.txt': 'b\n', 'src/c.txt': 'c\n', '.gitignore': 'dist/\n*.log\n', 'kept.log': '' };

describe('the file watcher', () => {
  it('reports what is added, modified and deleted, in folders new and old', async () => {
    const { workspace, seen } = await start(FILES);
    appendFileSync(join(workspace, 'a.txt'), 'more\n');
    rmSync(join(workspace, 'b.txt'));
    write(workspace, { 'new/deep/d.txt': 'd\n', 'src/ünï code\n.txt': '' });
    const expected = {
      'a.txt': 'modified',
      'b.txt': 'deleted',
      'new/deep/d.txt': 'added',
      'src/ünï code\n.txt': 'added',
    };
    await expect.poll(() => Object.fromEntries(seen())).toEqual(expected);
  });

  it('leaves out .git, packages and what git ignores, and does not spend watches on them', async () => {
    const { workspace, watcher, seen, fence } = await start(FILES);
    expect(watcher.folderCount()).toBe(1);
    write(workspace, {
      'node_modules/q/i.js': '',
      'dist/out/y.js': '',
      'x.log': '',
      'src/node_modules/z': '',
      'src/dist/z': '',
    });
    git(workspace, 'commit', '-q', '--allow-empty', '-m', 'second');
    await fence('fence-1');
    write(workspace, { 'src/dist/late': '' });
    await fence('fence-2');
    expect([...seen().keys()].sort()).toEqual(['fence-1', 'fence-2']);
    expect(watcher.folderCount()).toBe(1);
  });

  it('reports a tracked file although an ignore rule matches it', async () => {
    const { workspace, seen } = await start({ 'a.txt': '', 'build/kept.txt': '' });
    write(workspace, { '.gitignore': 'build/\n' });
    await expect.poll(() => seen().get('.gitignore')).toBe('added');
    write(workspace, { 'build/kept.txt': 'changed\n' });
    await expect.poll(() => seen().get('build/kept.txt')).toBe('modified');
  });

  it('follows ignore rules that change, in both directions', async () => {
    const { workspace, seen, fence } = await start(FILES);
    write(workspace, { '.gitignore': 'src/tmp/\n', 'src/tmp/one': '' });
    await expect.poll(() => seen().get('.gitignore')).toBe('modified');
    await fence('fence-1');
    await expect
      .poll(() => {
        writeFileSync(join(workspace, 'dist/out/x.js'), String(seen().size));
        return seen().has('dist/out/x.js');
      })
      .toBe(true);
    write(workspace, { 'src/tmp/two': '' });
    await fence('fence-2');
    expect(seen().has('src/tmp/two')).toBe(false);
  });

  it('does not follow links out of the workspace', async () => {
    const { workspace, watcher, seen, fence } = await start(FILES);
    const outside = temporaryFolder();
    mkdirSync(join(outside, 'deep'));
    symlinkSync(outside, join(workspace, 'link'));
    await expect.poll(() => seen().has('link')).toBe(true);
    write(outside, { 'secret.txt': 'x', 'deep/secret.txt': 'x' });
    await fence('fence');
    expect([...seen().keys()].sort()).toEqual(['fence', 'link']);
    expect(watcher.folderCount()).toBe(1);
  });

  it('a save by rename is one modification', async () => {
    const { workspace, changes } = await start(FILES, { batchMs: 150 });
    write(workspace, { 'a.txt.tmp': 'new\n' });
    renameSync(join(workspace, 'a.txt.tmp'), join(workspace, 'a.txt'));
    await expect.poll(changes).toEqual([{ path: 'a.txt', kind: 'modified' }]);
  });

  it('survives a checkout of 10,000 files: batches, then overflow, and it goes on', async () => {
    const { workspace, seen, overflows, fence } = await start(FILES, { maxPaths: 500 });
    for (let folder = 0; folder < 100; folder += 1) {
      mkdirSync(join(workspace, 'storm', String(folder)), { recursive: true });
      for (let at = 0; at < 100; at += 1) writeFileSync(join(workspace, 'storm', String(folder), `${at}.txt`), '');
    }
    await expect.poll(overflows, { timeout: 30_000 }).toContain('too_many_paths');
    await expect
      .poll(
        async () => {
          appendFileSync(join(workspace, 'a.txt'), 'x');
          return seen().has('a.txt');
        },
        { timeout: 30_000 },
      )
      .toBe(true);
    await fence('fence');
  });

  it('stops at its cap of folders and says so', async () => {
    const { workspace, watcher, overflows, seen } = await start(
      Object.fromEntries(Array.from({ length: 10 }, (_, at) => [`f${at}/x`, ''])),
      { maxFolders: 4 },
    );
    expect(overflows()).toEqual(['too_many_folders']);
    expect(watcher.folderCount()).toBe(4);
    write(workspace, { 'top.txt': '' });
    await expect.poll(() => seen().has('top.txt')).toBe(true);
  });

  it('reports nothing after close', async () => {
    const { workspace, watcher, changes, fence } = await start(FILES);
    await fence('fence');
    const before = changes().length;
    write(workspace, { 'late.txt': '' });
    await watcher.close();
    expect(changes()).toHaveLength(before);
  });
});
