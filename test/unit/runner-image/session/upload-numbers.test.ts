/** Numbers of diffs and checkpoints: each names one object in an epoch, whatever becomes of the runner between its upload and its event. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { realDisk } from '../../../../runner-image/src/transport/disk.ts';
import { openCore } from './open-core.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'numbers-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it('are never given twice, also not over a crash before anything was told of them', () => {
  const taken: number[] = [];
  for (let life = 0; life < 3; life += 1) {
    const { core } = openCore(folder, realDisk);
    core.record({ type: 'provider_idle', turnsDone: life });
    taken.push(core.takeNumber(), core.takeNumber());
  }
  expect(new Set(taken).size).toBe(6);
  expect(taken).toEqual([...taken].sort((a, b) => a - b));
});
