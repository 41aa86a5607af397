/** A runner on a clock that stands still, its line in the test's hands, its programs as the test says they are. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, vi } from 'vitest';
import { ADAPTERS } from '../../../../runner-image/src/adapters/registry.ts';
import { parseConfig } from '../../../../runner-image/src/config.ts';
import { createLog } from '../../../../runner-image/src/log.ts';
import type { PtyHost } from '../../../../runner-image/src/pty-host/client.ts';
import { SessionFolders } from '../../../../runner-image/src/runner/session-folders.ts';
import { Runner } from '../../../../runner-image/src/runner.ts';
import type { SavedSession } from '../../../../runner-image/src/session/saved-session.ts';
import type { SocketEvents } from '../../../../runner-image/src/transport/socket.ts';
import { type ControlToRunnerFrame, RunnerFrame } from '../../../../shared/frames.ts';
import { SessionConfig } from '../../../../shared/session.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import { fixedRandom, manualClock } from '../manual-clock.ts';

export const SESSION = 'ses_01J0000000000000000000000A';
export const SECRET = 'f'.repeat(64);

export interface Socket {
  readonly dial: number;
  readonly events: SocketEvents;
  readonly sent: RunnerFrame[];
}

export const noPrograms: PtyHost = {
  spawn: () => Promise.reject(new Error('nothing is spawned here')),
  adopt: () => Promise.reject(new Error('nothing runs here')),
  list: async () => [],
  settled: async () => {},
  lost: new Promise(() => {}),
  close: () => {},
};

export interface OpenRunner {
  readonly token?: string;
  readonly host?: PtyHost;
  /** Empties a folder of the runner's state, or throws. */
  readonly empty?: (path: string) => void;
}

export const openRunner = (root: string, options: OpenRunner = {}) => {
  const { token = `rr.local.rnr_1.${SECRET}`, host = noPrograms, empty } = options;
  const clock = manualClock();
  const sockets: Socket[] = [];
  const lines: string[] = [];
  const parsed = parseConfig(
    {
      ...{ CONTROL_PLANE_URL: 'http://127.0.0.1:1', CONTROL_PLANE_TOKEN: token, VILLAGE_PTY_SOCKET: '/none' },
      ...{ WORKSPACE_ROOT: join(root, 'work'), VILLAGE_STATE_DIR: join(root, 'state') },
      MAX_CONCURRENT_SESSIONS: token.startsWith('rr') ? '3' : '1',
    },
    () => 'runner-1',
  );
  if (parsed.kind === 'bad') throw new Error(parsed.lines.join('\n'));
  const log = createLog('debug', clock, (line) => lines.push(line));
  const stateDir = parsed.config.VILLAGE_STATE_DIR;
  const runner = new Runner({
    config: parsed.config,
    ...(empty ? { folders: new SessionFolders({ stateDir, log, empty }) } : {}),
    openSocket: (ticket, events) => {
      const socket: Socket = { dial: ticket.dial, events, sent: [] };
      sockets.push(socket);
      return {
        send: (text, onSent) => {
          socket.sent.push(RunnerFrame.parse(JSON.parse(text)));
          onSent();
        },
        close: () => {},
        terminate: () => {},
      };
    },
    ports: {
      ...{ clock, host, bootMs: clock.monotonicMs, random: fixedRandom(0.5), adapters: ADAPTERS },
      log,
      fetchCredentials: () => new Promise(() => {}),
      put: () => Promise.reject(new Error('no objects here')),
      ...{ gitEnvironment: {}, agentPath: '/usr/bin', allowsLocalRepositories: true, isolation: 'shared_uid' },
    },
  });
  const exited = runner.run();
  const at = async (index: number): Promise<Socket> => {
    await vi.waitFor(() => expect(sockets.length).toBeGreaterThan(index), { timeout: 5_000 });
    const socket = sockets[index];
    if (!socket) throw new Error('not dialled');
    return socket;
  };
  const say = (socket: Socket, frame: ControlToRunnerFrame) => socket.events.onText(JSON.stringify(frame));
  const welcome = (socket: Socket, more: Partial<ControlToRunnerFrame & { type: 'welcome' }> = {}) =>
    say(socket, { type: 'welcome', dial: socket.dial, sessions: [], desired: 'serve', ...more });
  const up = async (index: number): Promise<Socket> => {
    const socket = await at(index);
    socket.events.onOpen();
    welcome(socket);
    return socket;
  };
  return { runner, clock, exited, at, up, say, welcome, lines };
};
export const of = (socket: Socket, type: RunnerFrame['type']) => socket.sent.filter((frame) => frame.type === type);

/** A session whose last event was recorded and not delivered. */
export const writeOver = (folder: string, more: Partial<SavedSession> = {}): void => {
  mkdirSync(folder, { recursive: true });
  const config = SessionConfig.parse({
    ...{ sessionId: SESSION, tenantId: 'local', agentId: 'agt_01J0000000000000000000000A', provider: 'shell' },
    ...{ buildId: 'local', model: 'default', repository: { url: '/nowhere' } },
  });
  const saved: SavedSession = {
    ...{ v: 2, sessionId: SESSION, epoch: 1, config, capability: 'c', taskDefinition: 't', checkpoint: null, ranMs: 0 },
    ...{ state: 'completed', desired: { desired: 'stop', rev: 1 }, startedAtMs: 1, cliVersion: '1', baseCommit: '' },
    counters: ZERO_USAGE,
    ...{ transcript: { nextNumber: 0, storedOffset: 0 }, isOver: true, due: { rseq: 1, events: [] }, headOffset: 0 },
    ...{ leaseProvenAtMs: 0, held: [], ending: null, leaving: null, checkpointKey: null, prompts: [], nextPrompt: 1 },
    ...{ isPromptDone: true, lanes: [], apiInputs: [], typedInTerm: null, agent: null },
    progress: { prompts: 0, turnsDone: 0, isWorking: false },
    nextUpload: 1,
    ...more,
  };
  writeFileSync(join(folder, 'session.json'), JSON.stringify(saved));
  const envelope = { v: 1, sessionId: SESSION, tenantId: 'local', epoch: 1, rseq: 1, ts: 1, offset: 0 };
  const event = { ...envelope, type: 'session_ended', state: 'completed', reason: null, durationMs: 1 };
  writeFileSync(join(folder, 'journal'), `${JSON.stringify({ k: 'event', event })}\n`);
};
