/** The runner itself on a clock that stands still: what it says of itself, what it keeps, and when it goes. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { NO_RESTART_EXIT_CODE } from '../../../../runner-image/src/pty-host/restart-policy.ts';
import { RECONNECT_MAX_MS, RESTARTED_LAST_ACK_MS, RUNNER_STATUS_MS } from '../../../../shared/limits.ts';
import { SessionConfig } from '../../../../shared/session.ts';
import { of, openRunner, SECRET, SESSION, writeOver } from './open-runner.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'runner-unit-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));
const setup = (token?: string) => openRunner(root, token === undefined ? {} : { token });

describe('a runner that stays', () => {
  it('says what it is, and every so often how it is', async () => {
    const { clock, up, runner } = setup();
    const socket = await up(0);
    expect(of(socket, 'hello')).toMatchObject([
      { runnerId: 'rnr_1', capacity: 3, draining: false, sessions: [], clis: { shell: expect.any(String) } },
    ]);
    expect(runner.health()).toMatchObject({ isReady: true, isConnected: true, capacity: 3, sessions: [] });
    clock.advance(RUNNER_STATUS_MS);
    expect(of(socket, 'runner_status')).toMatchObject([{ live: 0, capacity: 3, draining: false }]);
    clock.advance(5_000);
    expect(of(socket, 'hello')).toHaveLength(1);
  });

  it('goes with 0 when it is asked to drain, or told to end, and comes back with its credential', async () => {
    for (const go of ['ask', 'welcome', 'signal']) {
      const { runner, exited, up, say, welcome } = setup();
      const socket = await up(0);
      if (go === 'ask') say(socket, { type: 'runner_desired', desired: 'drain' });
      else if (go === 'welcome') welcome(socket, { desired: 'drain' });
      else runner.drain();
      expect([go, await exited]).toEqual([go, 0]);
      expect(of(socket, 'runner_status').at(-1)).toMatchObject({ draining: true });
      expect(existsSync(join(root, 'state', 'dial.json'))).toBe(true);
    }
  });

  it('is told apart from the one that a late answer was for', async () => {
    const { clock, at, up, welcome, runner } = setup();
    const first = await up(0);
    first.events.onClosed({ status: null, message: 'cut' });
    clock.advance(RECONNECT_MAX_MS);
    const second = await at(1);
    second.events.onOpen();
    welcome(second);
    welcome(second, { dial: first.dial, desired: 'drain' });
    expect(runner.health().isDraining).toBe(false);
  });

  it.each([401, 403])('is not started again when it is refused with %i, and forgets what it has', async (status) => {
    const { exited, at, lines } = setup();
    (await at(0)).events.onClosed({ status, message: 'refused' });
    expect(await exited).toBe(NO_RESTART_EXIT_CODE);
    expect(existsSync(join(root, 'state'))).toBe(false);
    expect(lines.join('')).toContain(`The control plane refuses this runner (${status})`);
  });

  it('is not started again when its protocol is not spoken, and keeps its credential for a newer one', async () => {
    const { exited, at, say, lines } = setup();
    const socket = await at(0);
    socket.events.onOpen();
    const message = 'Protocol 1 is not spoken here, 2 to 3 are: update the runner.';
    say(socket, { type: 'error', code: 'protocol_unsupported', message, requestId: 'r' });
    expect(await exited).toBe(NO_RESTART_EXIT_CODE);
    expect(existsSync(join(root, 'state', 'dial.json'))).toBe(true);
    expect(lines.join('')).toContain(message);
  });

  it('delivers what ended without a line on the next one, and forgets it then', async () => {
    const folder = join(root, 'state', 'sessions', SESSION);
    writeOver(folder);
    const { clock, at, up, say, runner } = setup();
    const first = await at(0);
    clock.advance(RESTARTED_LAST_ACK_MS);
    await vi.waitFor(() => expect(runner.health().sessions).toEqual([]));
    expect(existsSync(join(folder, 'journal'))).toBe(true);
    first.events.onClosed({ status: null, message: 'cut' });
    clock.advance(RECONNECT_MAX_MS);
    const socket = await at(1);
    await up(1);
    // It was taken up with the line, and is named at once.
    const named = of(socket, 'hello').at(-1);
    expect(named).toMatchObject({ sessions: [{ sessionId: SESSION, epoch: 1, nextRseq: 2 }] });
    const watchers = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
    const entry = { sessionId: SESSION, epoch: 1, ackedRseq: 0, open: true, decisions: [], watchers, grants: [] };
    const session = { ...entry, desired: { desired: 'run', rev: 0 } } as const;
    say(socket, { type: 'welcome', dial: socket.dial, sessions: [session], desired: 'serve' });
    expect(of(socket, 'runner_events')).toMatchObject([{ sessionId: SESSION, firstRseq: 1 }]);
    const acked = { sessionId: SESSION, epoch: 1, firstRseq: 1, ackedRseq: 1, headSeq: 1, grants: [] };
    say(socket, { type: 'ack', ...acked });
    await vi.waitFor(() => expect(existsSync(folder)).toBe(false));
  });

  it('ends what it cannot read, and goes on', async () => {
    const folder = join(root, 'state', 'sessions', SESSION);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'session.json'), '{"v":');
    const { up, lines } = setup();
    const socket = await up(0);
    expect(of(socket, 'hello')).toMatchObject([{ sessions: [] }]);
    expect(existsSync(folder)).toBe(false);
    expect(lines.join('')).toContain('a saved session cannot be read');
  });
});

describe('a runner of one session', () => {
  it('asks again what is wanted of a session it has just got: what was pushed before found no session', async () => {
    const { at, say } = setup(`rt.local.${SESSION}.1.${SECRET}`);
    const socket = await at(0);
    socket.events.onOpen();
    const watchers = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
    const entry = { sessionId: SESSION, epoch: 1, ackedRseq: 0, open: true, decisions: [], watchers, grants: [] };
    const session = { ...entry, desired: { desired: 'run', rev: 0 } } as const;
    say(socket, { type: 'welcome', dial: socket.dial, sessions: [session], desired: 'serve' });
    say(socket, { type: 'desired', sessionId: SESSION, epoch: 1, rev: 1, desired: 'stop' });
    const config = SessionConfig.parse({
      ...{ sessionId: SESSION, tenantId: 'local', agentId: 'agt_01J0000000000000000000000A', provider: 'shell' },
      ...{ buildId: 'local', model: 'default', repository: { url: '/nowhere' } },
    });
    const assign = {
      sessionId: SESSION,
      epoch: 1,
      config,
      capability: 'cap-cap',
      taskDefinition: 't',
      checkpoint: null,
    };
    say(socket, { type: 'assign', ...assign, ranMs: 0 });
    expect(of(socket, 'hello').at(-1)).toMatchObject({ sessions: [{ sessionId: SESSION, epoch: 1, desiredRev: 0 }] });
  });

  it('asks until it has its session, and ends quietly when its credential is refused', async () => {
    const { clock, exited, up } = setup(`rt.local.${SESSION}.1.${SECRET}`);
    const socket = await up(0);
    clock.advance(10_000);
    expect(of(socket, 'hello').length).toBeGreaterThan(1);
    expect(of(socket, 'runner_status')).toEqual([]);
    socket.events.onClosed({ status: 403, message: 'refused' });
    expect(await exited).toBe(0);
    expect(existsSync(join(root, 'state'))).toBe(false);
  });
});
