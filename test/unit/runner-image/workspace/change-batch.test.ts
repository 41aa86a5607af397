import { describe, expect, it } from 'vitest';
import { createChangeBatch, type FileChangeKind } from '../../../../runner-image/src/workspace/change-batch.ts';
import { createFolderGate } from '../../../../runner-image/src/workspace/folder-gate.ts';

describe('a batch of changes', () => {
  it.each<[FileChangeKind[], FileChangeKind | null]>([
    [['added', 'modified'], 'added'],
    [['added', 'deleted'], null],
    [['added', 'deleted', 'added'], 'added'],
    [['deleted', 'added'], 'modified'],
    [['modified', 'deleted'], 'deleted'],
    [['modified', 'modified'], 'modified'],
    [['deleted', 'added', 'deleted'], 'deleted'],
  ])('%j amounts to %j', (kinds, expected) => {
    const batch = createChangeBatch(10);
    for (const kind of kinds) batch.add({ path: 'x', kind });
    expect(batch.take()).toEqual({ changes: expected === null ? [] : [{ path: 'x', kind: expected }], dropped: 0 });
    expect(batch.isEmpty()).toBe(true);
  });

  it('holds its cap, counts the rest, and starts anew after being taken', () => {
    const batch = createChangeBatch(2);
    for (const path of ['a', 'b', 'c', 'd', 'a']) batch.add({ path, kind: 'modified' });
    expect(batch.isEmpty()).toBe(false);
    const taken = batch.take();
    expect(taken.changes.map((change) => change.path)).toEqual(['a', 'b']);
    expect(taken.dropped).toBe(2);
    batch.add({ path: 'c', kind: 'added' });
    expect(batch.take()).toEqual({ changes: [{ path: 'c', kind: 'added' }], dropped: 0 });
  });
});

describe('the gate of folders', () => {
  it('leaves out what never is watched and what is ignored, at any depth', () => {
    const gate = createFolderGate('/w', 10, () => {});
    gate.replaceIgnored(new Set(['dist', 'a/tmp']));
    const refused = ['.git', '.git/x', 'a/node_modules', 'dist', 'dist/deep', 'a/tmp'];
    expect(refused.map((path) => gate.refuses(`/w/${path}`, true))).toEqual(refused.map(() => true));
    const taken = ['.github', 'a', 'a/dist', '.gitignore', 'distant'];
    expect(taken.map((path) => gate.refuses(`/w/${path}`, true))).toEqual(taken.map(() => false));
    expect(gate.refuses('/w', true)).toBe(false);
    expect(gate.count()).toBe(5);
  });

  it('stops at its cap, and a folder that is gone makes room', () => {
    let full = 0;
    const gate = createFolderGate('/w', 2, () => {
      full += 1;
    });
    expect(['a', 'a/b', 'a'].map((path) => gate.refuses(`/w/${path}`, true))).toEqual([false, false, false]);
    expect(gate.refuses('/w/c', true)).toBe(true);
    expect(gate.refuses('/w/c', false)).toBe(false);
    expect(full).toBe(1);
    gate.forget('a');
    expect(gate.count()).toBe(0);
    expect(gate.refuses('/w/c', true)).toBe(false);
  });

  it('tells which folders to leave and which to enter', () => {
    const gate = createFolderGate('/w', 10, () => {});
    gate.replaceIgnored(new Set(['a', 'b']));
    expect(gate.replaceIgnored(new Set(['b', 'c']))).toEqual({ leave: ['c'], enter: ['a'] });
  });
});
