import { describe, expect, it } from 'vitest';
import { diffFiles, parseDiff, splitRecords } from '../../../../runner-image/src/workspace/diff-parse.ts';
import { findPackedRef } from '../../../../runner-image/src/workspace/head-ref.ts';
import { isRefName } from '../../../../runner-image/src/workspace/remote-probe.ts';

const zero = '0'.repeat(40);
const raw = (letter: string, ...paths: string[]) => [`:100644 100644 ${zero} ${zero} ${letter}`, ...paths];
const bytes = (...records: string[]) => Buffer.from(records.map((record) => `${record}\0`).join(''));

describe('parseDiff', () => {
  it('reads changes, renames and counts, whatever the names look like', () => {
    const diff = parseDiff(
      bytes(
        ...raw('M', ':odd\tname'),
        ...raw('R086', 'old', 'new\nname'),
        ...raw('A', '1\t2\tx'),
        '3\t1\t:odd\tname',
        '1\t0\t',
        'old',
        'new\nname',
        '-\t-\t1\t2\tx',
      ),
    );
    expect(diffFiles(diff, new Set(['old', '1\t2\tx']))).toEqual([
      { path: ':odd\tname', status: 'modified', staged: false, binary: false, added: 3, removed: 1 },
      { path: 'new\nname', oldPath: 'old', status: 'renamed', staged: true, binary: false, added: 1, removed: 0 },
      { path: '1\t2\tx', status: 'added', staged: true, binary: true, added: 0, removed: 0 },
    ]);
  });

  it('leaves out files that were only touched, and keeps a mode that changed', () => {
    const diff = parseDiff(
      bytes(...raw('M', 'touched'), `:100644 100755 ${zero} ${zero} M`, 'mode', '0\t0\ttouched', '0\t0\tmode'),
    );
    expect(diffFiles(diff, new Set()).map((file) => file.path)).toEqual(['mode']);
  });

  it('drops a record that was cut off', () => {
    const whole = bytes(...raw('A', 'one'), ...raw('A', 'two'));
    expect(parseDiff(whole.subarray(0, whole.length - 2)).changes.map((change) => change.path)).toEqual(['one']);
    expect(parseDiff(bytes(...raw('R100', 'old'))).changes).toEqual([{ path: 'old', letter: 'R', modeChanged: false }]);
    expect(splitRecords(Buffer.from('no end'))).toEqual([]);
    expect(splitRecords(Buffer.alloc(0))).toEqual([]);
  });
});

describe('findPackedRef', () => {
  it('takes the exact ref only', () => {
    const packed = `# pack-refs with: peeled\n${'a'.repeat(40)} refs/heads/main\n^${'b'.repeat(40)}\n${'c'.repeat(40)} refs/heads/main2\nxyz refs/heads/bad`;
    expect(findPackedRef(packed, 'refs/heads/main')).toBe('a'.repeat(40));
    expect(findPackedRef(packed, 'refs/heads/main2')).toBe('c'.repeat(40));
    expect(findPackedRef(packed, 'refs/heads/bad')).toBeNull();
    expect(findPackedRef(packed, 'heads/main')).toBeNull();
  });
});

describe('isRefName', () => {
  it.each(['main', 'feature/x', 'ünï', 'v1.0', 'a@b', 'refs/heads/x', 'deadbeef'])('%j is one', (name) => {
    expect(isRefName(name)).toBe(true);
  });
  it.each([
    '',
    '-x',
    '/x',
    'x/',
    '.x',
    'a/.b',
    'x.',
    'x..y',
    'x y',
    'x~1',
    'x^',
    'x:y',
    'x?',
    'x*',
    'x[',
    'x\\y',
    'x@{1}',
    '@',
    'x.lock',
    'x.lock/y',
    'x//y',
    'a\0',
    'a\nb',
    'a\x7f',
    'x'.repeat(251),
  ])('%j is none', (name) => {
    expect(isRefName(name)).toBe(false);
  });
});
