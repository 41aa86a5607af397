import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTicksOf, takeLock } from '../../../../local/village/lock.ts';
import { VillageError } from '../../../../local/village/village-error.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'village-lock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const lockFile = () => join(dir, 'village.lock');

it('is held until it is given back', () => {
  const release = takeLock(dir);
  expect(() => takeLock(dir)).toThrow(VillageError);
  expect(() => takeLock(dir)).toThrow(String(process.pid));
  release();
  takeLock(dir)();
  expect(readdirSync(dir)).toEqual([]);
});

it('is taken over from a process that is gone, or whose pid another has now', () => {
  for (const stale of [
    { pid: 2 ** 22 + 1, startTicks: '1', takenAt: 'x' },
    { pid: process.ppid, startTicks: '1', takenAt: 'x' },
  ]) {
    writeFileSync(lockFile(), JSON.stringify(stale));
    const release = takeLock(dir);
    expect(JSON.parse(readFileSync(lockFile(), 'utf8')).pid).toBe(process.pid);
    release();
  }
});

it('is not taken over from a process that lives', () => {
  writeFileSync(
    lockFile(),
    JSON.stringify({ pid: process.ppid, startTicks: startTicksOf(process.ppid), takenAt: 'x' }),
  );
  expect(() => takeLock(dir)).toThrow('Another village');
  expect(existsSync(lockFile())).toBe(true);
});

it('is taken over when the file is of no use', () => {
  writeFileSync(lockFile(), '{');
  takeLock(dir)();
});

it('says when the directory cannot be made', () => {
  writeFileSync(join(dir, 'file'), '');
  expect(() => takeLock(join(dir, 'file', 'sub'))).toThrow('--data-dir');
});
