import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openInside, readInside } from '../../../../runner-image/src/workspace/open-inside.ts';
import { insideWorkspace } from '../../../../runner-image/src/workspace/path-guard.ts';

let top = '';
let root = '';
beforeAll(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'guard-test-')));
  root = join(top, 'work');
  for (const folder of ['work/dir/sub', 'outside/sub', 'work-sibling'])
    mkdirSync(join(top, folder), { recursive: true });
  writeFileSync(join(root, 'file'), 'f');
  writeFileSync(join(top, 'outside', 'secret'), 's');
  const links: Record<string, string> = {
    'work/out': '../outside',
    'work/out-file': '../outside/secret',
    'work/absolute-out': join(top, 'outside'),
    'work/dangling-out': '../outside/not-yet',
    'work/dangling-in': 'not-yet',
    'work/in': 'dir/sub',
    'work/dir/up': '..',
    'work/dir/far-up': '../..',
    'work/loop': 'loop',
    'work/chain': 'dir/far-up/work/out',
    'work/self': '.',
    'outside/back': '../work',
  };
  for (const [path, target] of Object.entries(links)) symlinkSync(target, join(top, path));
  symlinkSync(root, join(top, 'link-to-work'));
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

describe('insideWorkspace', () => {
  it.each([
    ['', ''],
    ['.', ''],
    ['file', 'file'],
    ['new/deep/file', 'new/deep/file'],
    ['dir/../file', 'file'],
    ['in/x', 'dir/sub/x'],
    ['dir/up/file', 'file'],
    ['dangling-in', 'not-yet'],
    ['out/back/file', 'file'],
    ['file/below', 'file/below'],
    ['..file', '..file'],
    ['self/self/dir', 'dir'],
    ['ünï\ncode', 'ünï\ncode'],
  ])('%j is inside', async (candidate, expected) => {
    expect(await insideWorkspace(root, candidate)).toEqual({
      kind: 'inside',
      path: resolve(root, expected),
      relative: expected,
    });
  });

  it.each([
    ['..', 'escapes'],
    ['../work-sibling', 'escapes'],
    ['../outside/secret', 'escapes'],
    ['/etc/passwd', 'escapes'],
    ['out', 'escapes'],
    ['out/new', 'escapes'],
    ['out-file', 'escapes'],
    ['absolute-out/x', 'escapes'],
    ['dangling-out', 'escapes'],
    ['chain/x', 'escapes'],
    ['dir/far-up', 'escapes'],
    // The kernel goes up from outside/sub, a program that shortens first never leaves.
    ['out/sub/../../secret', 'escapes'],
    ['out/../file', 'escapes'],
    ['loop', 'invalid'],
    ['a\0b', 'invalid'],
    ['x'.repeat(5_000), 'invalid'],
    ['x'.repeat(300), 'invalid'],
  ])('%j is outside', async (candidate, reason) => {
    expect(await insideWorkspace(root, candidate)).toEqual({ kind: 'outside', reason });
  });

  it('takes a root that is a link, and absolute candidates through it', async () => {
    const link = join(top, 'link-to-work');
    expect(await insideWorkspace(link, join(link, 'file'))).toMatchObject({ kind: 'inside', path: join(root, 'file') });
    expect(await insideWorkspace(link, join(root, 'file'))).toMatchObject({ kind: 'inside', relative: 'file' });
  });

  it('10,000 generated paths: writing to what was judged inside never lands outside', async () => {
    const names = [
      'dir',
      'sub',
      'in',
      'out',
      'up',
      'far-up',
      'chain',
      'self',
      'dangling-out',
      'dangling-in',
      'back',
      'work',
      'outside',
      'file',
      'new',
      '..',
      '..',
      '.',
      '',
      'loop',
      '\0',
      'link-to-work',
    ];
    const candidate = fc
      .tuple(fc.constantFrom('', '', '/', `${top}/`, `${root}/`), fc.array(fc.constantFrom(...names), { maxLength: 8 }))
      .map(([start, parts]) => start + parts.join('/'));
    const outsideBefore = readdirSync(join(top, 'outside')).sort();
    let inside = 0;
    await fc.assert(
      fc.asyncProperty(candidate, async (path) => {
        const verdict = await insideWorkspace(root, path);
        if (verdict.kind === 'outside') return;
        inside += 1;
        // The verdict's path and both readings of the candidate, each as far as the kernel can follow it.
        for (const used of [verdict.path, path.startsWith('/') ? path : `${root}/${path}`, resolve(root, path)]) {
          let existing = used;
          while (!existsSync(existing)) existing = dirname(existing);
          const real = realpathSync.native(existing);
          if (used === verdict.path) expect(real === root || real.startsWith(`${root}/`)).toBe(true);
          else if (existing === used) expect(real === root || real.startsWith(`${root}/`)).toBe(true);
        }
      }),
      { numRuns: 10_000, seed: 20_261_122 },
    );
    expect(inside).toBeGreaterThan(1_000);
    expect(readdirSync(join(top, 'outside')).sort()).toEqual(outsideBefore);
  }, 60_000);
});

describe('openInside', () => {
  it('opens plain files only, without hanging', async () => {
    execFileSync('mkfifo', [join(root, 'fifo')]);
    for (const path of [
      'out-file',
      'out/secret',
      'in/../../file',
      'fifo',
      'dir',
      'none',
      '../outside/secret',
      'dir/up/file',
    ]) {
      expect(await openInside(root, path)).toBeNull();
    }
    expect((await readInside(root, 'file', 10))?.toString()).toBe('f');
    expect(await readInside(root, 'file', 0)).toBeNull();
  });

  it('never reads the secret while folder and link are exchanged under it', async () => {
    mkdirSync(join(root, 'race'));
    writeFileSync(join(root, 'race', 'secret'), 'harmless');
    symlinkSync('../outside', join(root, 'race-link'));
    for (let round = 0; round < 300; round += 1) {
      const reading = readInside(root, 'race/secret', 100);
      renameSync(join(root, 'race'), join(root, 'race-away'));
      renameSync(join(root, 'race-link'), join(root, 'race'));
      const result = await reading;
      expect(result?.toString() ?? 'harmless').toBe('harmless');
      expect(await readInside(root, 'race/secret', 100)).toBeNull();
      renameSync(join(root, 'race'), join(root, 'race-link'));
      renameSync(join(root, 'race-away'), join(root, 'race'));
    }
    expect((await readInside(root, 'race/secret', 100))?.toString()).toBe('harmless');
    unlinkSync(join(root, 'race-link'));
  });
});
