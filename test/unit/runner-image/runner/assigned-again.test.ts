/** An assignment that is told once more when its epoch has ended here (a late twin, an answer to an old read) begins nothing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { SessionConfig } from '../../../../shared/session.ts';
import { of, openRunner, SESSION, writeOver } from './open-runner.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'runner-again-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const config = SessionConfig.parse({
  ...{ sessionId: SESSION, tenantId: 'local', agentId: 'agt_01J0000000000000000000000A', provider: 'shell' },
  ...{ buildId: 'local', model: 'default', repository: { url: '/nowhere' } },
});
const assignOf = (epoch: number) => ({
  ...({ type: 'assign', sessionId: SESSION, epoch, config, capability: 'cap-cap', taskDefinition: 't' } as const),
  ...{ checkpoint: null, ranMs: 0 },
});

it('of an epoch that has ended here is refused; its next epoch begins', async () => {
  writeOver(join(root, 'state', 'sessions', SESSION));
  const { at, welcome, say, runner } = openRunner(root);
  const socket = await at(0);
  socket.events.onOpen();
  const over = { sessionId: SESSION, epoch: 1, ackedRseq: 1, open: false, decisions: [], grants: [] };
  const watchers = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
  welcome(socket, { sessions: [{ ...over, watchers, desired: { desired: 'run', rev: 0 } }] });
  await vi.waitFor(() => expect(runner.health().sessions).toEqual([]));
  say(socket, assignOf(1));
  expect(runner.health().sessions).toEqual([]);
  expect(of(socket, 'assign_refused')).toMatchObject([{ sessionId: SESSION, epoch: 1, reason: 'full' }]);
  say(socket, assignOf(2));
  expect(runner.health().sessions).toMatchObject([{ sessionId: SESSION, epoch: 2 }]);
});
