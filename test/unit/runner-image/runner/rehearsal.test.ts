import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseConfig } from '../../../../runner-image/src/config.ts';
import { createLog } from '../../../../runner-image/src/log.ts';
import type { SharedPorts } from '../../../../runner-image/src/runner/held-sessions.ts';
import { rehearse } from '../../../../runner-image/src/runner/rehearsal.ts';
import { manualClock } from '../manual-clock.ts';

it('never rejects: a runner without room for a rehearsal serves all the same', async () => {
  const root = mkdtempSync(join(tmpdir(), 'rehearsal-'));
  const clock = manualClock();
  const lines: string[] = [];
  const parsed = parseConfig(
    {
      ...{ CONTROL_PLANE_URL: 'http://127.0.0.1:1', CONTROL_PLANE_TOKEN: `rr.local.rnr_1.${'f'.repeat(64)}` },
      ...{ VILLAGE_PTY_SOCKET: '/none', WORKSPACE_ROOT: join(root, 'work'), VILLAGE_STATE_DIR: join(root, 'none') },
    },
    () => 'runner-1',
  );
  if (parsed.kind === 'bad') throw new Error(parsed.lines.join('\n'));
  rmSync(root, { recursive: true, force: true });
  // Nothing else is reached.
  const ports = {
    clock,
    log: createLog('debug', clock, (line) => lines.push(line)),
  } as Partial<SharedPorts> as SharedPorts;
  await rehearse(parsed.config, ports);
  expect(lines.join('')).toContain('the rehearsal of a start failed');
});
