import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ProviderEvent, ProviderSession } from '../../runner-image/src/adapters/contract.ts';
import { shellAdapter } from '../../runner-image/src/adapters/shell/adapter.ts';
import { workspacePolicy } from '../../runner-image/src/policy/decide-tool.ts';
import { systemClock } from '../../shared/clock.ts';
import { processesWith, type TestTerminal, testTerminal } from './agent-pty.ts';

let folder: string;
let terminal: TestTerminal;
let events: ProviderEvent[];
let session: ProviderSession;
beforeEach(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'village-shell-')));
  terminal = testTerminal(folder);
  events = [];
  const config = {
    file: '/bin/bash',
    cliVersion: '5',
    workspace: folder,
    privateDir: folder,
    path: '/usr/bin:/bin',
    cliInstanceId: 'x',
  };
  const ports = {
    pty: terminal.pty,
    clock: systemClock,
    screenText: terminal.screenText,
    policy: workspacePolicy({ workspace: folder }),
    onEvents: (some: readonly ProviderEvent[]) => void events.push(...some),
    whenFree: async () => {},
  };
  const started = await shellAdapter.startSession(config, ports);
  if (started.kind !== 'started') throw new Error(started.reason);
  session = started.session;
});
afterEach(async () => {
  await session.stop({ graceMs: 1_000 });
  rmSync(folder, { recursive: true, force: true });
});
const waitFor = (check: () => void) => vi.waitFor(check, { timeout: 8_000, interval: 20 });
const commands = () =>
  events.flatMap((event) => (event.type === 'HINT_COMMAND_EXECUTED' ? [[event.command, event.exitCode]] : []));

describe('the shell adapter on a real bash', () => {
  it('finds its version', async () => {
    expect(await shellAdapter.detect('/bin/bash')).toMatchObject({
      kind: 'found',
      version: expect.stringMatching(/^\d+\.\d+/),
    });
  });

  it('runs what is typed, reports commands with their exit codes, and shows no mark on the screen', async () => {
    expect(await session.ready).toEqual({ kind: 'ready' });
    await session.sendInput('echo "ü $((6*7))"; (exit 3)\n');
    await waitFor(() => expect(commands()).toEqual([['echo "ü $((6*7))"; (exit 3)', 3]]));
    expect(terminal.screenText()).toContain('\nü 42');
    expect(terminal.screenText()).not.toContain('633');
    await session.sendInput('env');
    await waitFor(() => expect(commands()).toHaveLength(2));
    expect(terminal.screenText()).not.toContain('VITEST');
    expect(events.slice(0, 2).map(({ type }) => type)).toEqual(['PROVIDER_STARTED', 'PROVIDER_READY']);
  });

  it('interrupts a command without ending the shell', async () => {
    await session.sendInput('echo be""gun; sleep 60');
    await waitFor(() => expect(terminal.screenText()).toContain('begun'));
    await session.interrupt();
    await waitFor(() => expect(commands()).toMatchObject([[expect.stringContaining('sleep 60'), 130]]));
  });

  it('ends by exit as expected, and takes nothing after it', async () => {
    await session.sendInput('exit 4');
    expect(await session.exited).toEqual({ kind: 'exited', exitCode: 4, signal: null });
    expect(events.at(-1)).toEqual({ type: 'PROVIDER_EXITED', exitCode: 4, signal: null, expected: true });
    expect(await session.sendInput('ls')).toMatchObject({ kind: 'refused' });
  });

  it('stops with everything that was started in it', async () => {
    await session.sendInput('(trap "" HUP; sleep 300) & setsid sleep 300 & echo sta""rted');
    await waitFor(() => expect(terminal.screenText()).toContain('started'));
    await session.stop({ graceMs: 2_000 });
    expect(processesWith(folder)).toEqual([]);
    expect(events.at(-1)).toMatchObject({ type: 'PROVIDER_EXITED', expected: true });
  });
});
