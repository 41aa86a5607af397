/** A runner that is started again and cannot take a session up at once, or cannot clear one away: nothing of anybody's is lost for that. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ListedProcess, PtyHost, PtyProcess } from '../../../../runner-image/src/pty-host/client.ts';
import { PtyError } from '../../../../runner-image/src/pty-host/messages.ts';
import { NO_RESTART_EXIT_CODE } from '../../../../runner-image/src/pty-host/restart-policy.ts';
import {
  END_STEP_MS,
  LEASE_LOST_KILL_MS,
  LEASE_MS,
  TAKE_UP_RETRY_MS,
  WORKSPACE_SWEEP_MS,
} from '../../../../shared/limits.ts';
import { SessionConfig } from '../../../../shared/session.ts';
import { noPrograms, of, openRunner, SESSION, type Socket, writeOver } from './open-runner.ts';

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'runner-take-up-'));
  folder = join(root, 'state', 'sessions', SESSION);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Programs that run under pty-host; what was done to each is in `calls`. */
const programs = (...ids: string[]) => {
  const calls: string[] = [];
  const listed = new Map(ids.map((id): [string, ListedProcess] => [id, listedOf(id)]));
  let killing: Promise<void> | null = null;
  const process = (id: string): PtyProcess => {
    const exit = Promise.withResolvers<{ kind: 'exited'; exitCode: number; signal: number | null }>();
    const set = (change: Partial<ListedProcess>) => listed.set(id, { ...(listed.get(id) ?? listedOf(id)), ...change });
    return {
      ...{ id, pid: 2 ** 22 + 1, mark: 'mark', lanes: [], exited: exit.promise },
      ...{ onData: () => {}, ack: () => {}, write: async () => {}, resize: async () => {}, signal: async () => {} },
      async freeze() {
        calls.push(`freeze ${id}`);
        set({ frozen: true });
      },
      async thaw() {
        calls.push(`thaw ${id}`);
        set({ frozen: false });
      },
      async kill() {
        calls.push(`kill ${id}`);
        if (id.startsWith('unkillable')) throw new PtyError('left_over', 'still there');
        await killing;
        set({ exited: true });
        exit.resolve({ kind: 'exited', exitCode: 0, signal: 9 });
      },
      async release() {
        calls.push(`release ${id}`);
        listed.delete(id);
      },
    };
  };
  const host: PtyHost = {
    ...noPrograms,
    list: async () => [...listed.values()],
    async adopt(id) {
      if (!listed.has(id)) throw new PtyError('unknown_process', id);
      return process(id);
    },
  };
  /** Kills do not end until the returned function is called. */
  const holdKills = (): (() => void) => {
    const held = Promise.withResolvers<void>();
    killing = held.promise;
    return () => held.resolve();
  };
  return { host, calls, listed, holdKills };
};
const listedOf = (id: string): ListedProcess => ({
  ...{ id, handle: 1, pid: 2 ** 22 + 1, mark: 'mark', ackedOffset: 0, endOffset: 0 },
  ...{ frozen: false, exited: false, lanes: [] },
});

/** Where the clock stands at first. */
const START_MS = 1_000_000;

/** A session that runs, whose journal cannot be opened: as when too many files are open. */
const writeRunning = (): { heal: () => void } => {
  writeOver(folder, {
    ...{ state: 'running', isOver: false, desired: { desired: 'run', rev: 0 }, leaseProvenAtMs: START_MS },
    agent: {
      ...{ cliInstanceId: 'c', workspace: '/w', dummyKey: 'k'.repeat(32), modelPort: null, scriptTurnsDone: 0 },
      provider: {},
    },
  });
  const journal = join(folder, 'journal');
  const text = readFileSync(journal);
  rmSync(journal);
  mkdirSync(journal);
  return {
    heal: () => {
      rmSync(journal, { recursive: true });
      writeFileSync(journal, text);
    },
  };
};
const running = `${SESSION}#1`;
const config = SessionConfig.parse({
  ...{ sessionId: SESSION, tenantId: 'local', agentId: 'agt_01J0000000000000000000000A', provider: 'shell' },
  ...{ buildId: 'local', model: 'default', repository: { url: '/nowhere' } },
});
const assignOf = (epoch: number) => ({
  ...({ type: 'assign', sessionId: SESSION, epoch, config, capability: 'cap-cap', taskDefinition: 't' } as const),
  ...{ checkpoint: null, ranMs: 0 },
});
const helloSessions = (socket: Socket) => of(socket, 'hello').at(-1);

describe('a session that cannot be taken up yet', () => {
  it('keeps its program, which stands still, and is taken up as soon as that can be done', async () => {
    const { heal } = writeRunning();
    const { host, calls } = programs(running);
    const { up, clock, runner, lines } = openRunner(root, { host });
    const socket = await up(0);
    await vi.waitFor(() => expect(calls).toEqual([`freeze ${running}`]));
    expect(helloSessions(socket)).toMatchObject({ sessions: [] });
    expect(lines.filter((line) => line.includes('cannot be taken up yet'))).toHaveLength(1);
    clock.advance(TAKE_UP_RETRY_MS);
    heal();
    clock.advance(TAKE_UP_RETRY_MS);
    await vi.waitFor(() => expect(runner.health().sessions).toMatchObject([{ sessionId: SESSION, state: 'running' }]));
    await vi.waitFor(() =>
      expect(helloSessions(socket)).toMatchObject({ sessions: [{ sessionId: SESSION, nextRseq: 2 }] }),
    );
    await vi.waitFor(() => expect(calls).toContain(`thaw ${running}`));
    expect(calls.join()).not.toContain('kill');
  });

  it('is not lost when the system does not let it be read', async () => {
    writeOver(folder);
    const saved = join(folder, 'session.json');
    const text = readFileSync(saved);
    rmSync(saved);
    mkdirSync(saved);
    const { host, calls } = programs(running);
    const { up, clock, runner } = openRunner(root, { host });
    await up(0);
    await vi.waitFor(() => expect(calls).toEqual([`freeze ${running}`]));
    expect(existsSync(join(folder, 'journal'))).toBe(true);
    rmSync(saved, { recursive: true });
    writeFileSync(saved, text);
    clock.advance(TAKE_UP_RETRY_MS);
    await vi.waitFor(() => expect(runner.health().sessions).toMatchObject([{ sessionId: SESSION }]));
  });

  it('has its program killed when its lease is lost for good', async () => {
    writeRunning();
    const { host, calls, listed } = programs(running);
    const { up, clock, runner } = openRunner(root, { host });
    await up(0);
    await vi.waitFor(() => expect(calls).toEqual([`freeze ${running}`]));
    clock.advance(LEASE_MS + LEASE_LOST_KILL_MS);
    await vi.waitFor(() => expect(calls).toContain(`release ${running}`));
    expect(listed.size).toBe(0);
    expect(runner.health().sessions).toEqual([]);
  });

  it('is not begun anew over what it has, and its next epoch goes elsewhere', async () => {
    writeRunning();
    const { up, say } = openRunner(root, programs(running));
    const socket = await up(0);
    for (const epoch of [1, 2]) say(socket, assignOf(epoch));
    expect(of(socket, 'assign_refused')).toMatchObject([{ epoch: 1 }, { epoch: 2 }]);
    expect(existsSync(join(folder, 'session.json'))).toBe(true);
  });
});

describe('programs of no session', () => {
  it('are ended, whatever becomes of the others', async () => {
    const { host, calls } = programs('unkillable#1', 'ses_gone#1', 'ses_gone_too#4');
    openRunner(root, { host });
    await vi.waitFor(() => expect(calls).toContain('release ses_gone_too#4'));
    expect(calls).toEqual(expect.arrayContaining(['kill unkillable#1', 'kill ses_gone#1', 'release ses_gone#1']));
  });

  it('does not reach a session that is taken up while another is being ended', async () => {
    writeOver(folder);
    const { host, calls, holdKills } = programs('ses_gone#1', running);
    const release = holdKills();
    openRunner(root, { host });
    await vi.waitFor(() => expect(calls).toEqual(['kill ses_gone#1']));
    release();
    await vi.waitFor(() => expect(calls).toContain('release ses_gone#1'));
    expect(calls.join()).not.toContain(`kill ${running}`);
  });
});

describe('a session whose folder cannot be removed', () => {
  const full = () => {
    let isStubborn = true;
    const empty = (path: string): void => {
      if (isStubborn) throw Object.assign(new Error('ENOTEMPTY: directory not empty'), { code: 'ENOTEMPTY' });
      rmSync(path, { recursive: true, force: true });
    };
    const heal = (): void => {
      isStubborn = false;
    };
    return { empty, heal };
  };
  const removed = () => {
    const path = join(root, 'state', 'removed');
    return existsSync(path) ? readdirSync(path) : [];
  };

  /** The control plane has closed its epoch: what it still had to say is over with it. */
  const closed = async (world: ReturnType<typeof openRunner>): Promise<Socket> => {
    const socket = await world.at(0);
    socket.events.onOpen();
    const over = { sessionId: SESSION, epoch: 1, ackedRseq: 1, open: false, decisions: [], grants: [] };
    const watchers = { rev: 0, viewers: [], controllerId: null, controlTerm: 0 };
    world.welcome(socket, { sessions: [{ ...over, watchers, desired: { desired: 'run', rev: 0 } }] });
    await vi.waitFor(() => expect(world.runner.health().sessions).toEqual([]));
    return socket;
  };

  it('is over all the same: its place is free, a drain ends, and the folder goes later', async () => {
    writeOver(folder);
    const { empty, heal } = full();
    const world = openRunner(root, { empty });
    await closed(world);
    expect(existsSync(folder)).toBe(false);
    expect(removed()).toHaveLength(1);
    expect(world.lines.join('')).toContain('ENOTEMPTY');
    heal();
    world.clock.advance(WORKSPACE_SWEEP_MS);
    await vi.waitFor(() => expect(removed()).toEqual([]));
    world.runner.drain();
    expect(await world.exited).toBe(0);
  });

  it('does not keep its next epoch from starting here, nor the runner from going', async () => {
    writeOver(folder);
    const { empty } = full();
    const world = openRunner(root, { empty });
    const { say, runner, clock, exited } = world;
    const socket = await closed(world);
    say(socket, assignOf(2));
    expect(of(socket, 'assign_refused')).toEqual([]);
    expect(runner.health().sessions).toMatchObject([{ sessionId: SESSION, epoch: 2 }]);
    socket.events.onClosed({ status: 403, message: 'revoked' });
    let code: number | null = null;
    void exited.then((answer) => {
      code = answer;
    });
    await vi.waitFor(() => {
      clock.advance(END_STEP_MS);
      expect(code).toBe(NO_RESTART_EXIT_CODE);
    });
  });
});
