import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, it, vi } from 'vitest';
import { logStreams } from '../../../../local/ecs/task-log.ts';

it('keeps output up to its cap and goes on reading beyond it', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'village-task-log-'));
  const stream = new PassThrough();
  logStreams(join(dir, 'log'), [stream], 10);
  for (let i = 0; i < 50; i += 1) stream.write('12345');
  stream.end();
  await vi.waitFor(() => expect(stream.closed).toBe(true));
  await vi.waitFor(() => expect(readFileSync(join(dir, 'log'), 'utf8')).toBe('1234512345\n[log cut at 10 bytes]\n'));
  rmSync(dir, { recursive: true, force: true });
});
