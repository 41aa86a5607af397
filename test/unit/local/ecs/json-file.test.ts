/** Writes of one file never overlap, whatever order their callers come in. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { jsonFile } from '../../../../local/ecs/json-file.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'village-json-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('saving', () => {
  it('is one write after the other, also for whoever saves at the end of a write while the next one waits', async () => {
    const file = jsonFile(join(dir, 'state.json'));
    for (let round = 0; round < 50; round += 1) {
      let state = `${round} a`;
      const take = () => state;
      const first = file.save(take);
      const second = file.save(take);
      const third = first.then(() => {
        state = `${round} b`;
        return file.save(take);
      });
      await Promise.all([first, second, third]);
      expect(file.read()).toBe(`${round} b`);
    }
  });
});
