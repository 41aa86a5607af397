/** A whole session on a clock that the test moves, with a terminal whose program does what the test says and nothing else. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ADAPTERS } from '../../../../runner-image/src/adapters/registry.ts';
import { parseConfig } from '../../../../runner-image/src/config.ts';
import { silentLog } from '../../../../runner-image/src/log.ts';
import type { PtyHost, PtyProcess } from '../../../../runner-image/src/pty-host/client.ts';
import type { RuntimePorts } from '../../../../runner-image/src/session/ports.ts';
import { SavedSession } from '../../../../runner-image/src/session/saved-session.ts';
import { SessionRuntime } from '../../../../runner-image/src/session/session-runtime.ts';
import type { RunnerFrame } from '../../../../shared/frames.ts';
import { SessionConfig } from '../../../../shared/session.ts';
import { fixedRandom, manualClock } from '../manual-clock.ts';

const SESSION = 'ses_01J0000000000000000000000A';

/** `calls`: what was done to the program, in order; `sent`: every frame that left. */
export const openRuntime = (folder: string, provider: 'shell' | 'claude_code' = 'shell') => {
  const clock = manualClock();
  const calls: string[] = [];
  const sent: RunnerFrame[] = [];
  const exit = Promise.withResolvers<{ kind: 'exited'; exitCode: number; signal: number | null }>();
  const process: PtyProcess = {
    ...{ id: SESSION, pid: 2 ** 22 + 1, mark: 'mark', lanes: [], exited: exit.promise },
    ...{ onData: () => {}, ack: () => {}, write: async () => {}, resize: async () => {}, signal: async () => {} },
    freeze: async () => void calls.push('freeze'),
    thaw: async () => void calls.push('thaw'),
    async kill(how) {
      calls.push(how === 'at_once' ? 'kill at once' : 'kill');
      exit.resolve({ kind: 'exited', exitCode: 0, signal: 9 });
    },
    release: async () => void calls.push('release'),
  };
  const host: PtyHost = {
    spawn: () => Promise.reject(new Error('nothing is spawned here')),
    adopt: async () => process,
    list: async () => [],
    settled: async () => {},
    lost: new Promise(() => {}),
    close: () => {},
  };
  const parsed = parseConfig(
    {
      ...{ CONTROL_PLANE_URL: 'http://127.0.0.1:1', CONTROL_PLANE_TOKEN: `rt.local.${SESSION}.1.${'f'.repeat(64)}` },
      ...{ WORKSPACE_ROOT: join(folder, 'work'), VILLAGE_STATE_DIR: folder, VILLAGE_PTY_SOCKET: '/none' },
    },
    () => 'runner-1',
  );
  if (parsed.kind === 'bad') throw new Error(parsed.lines.join('\n'));
  const ports: RuntimePorts = {
    ...{ clock, host, bootMs: clock.monotonicMs, random: fixedRandom(), log: silentLog, stateDir: folder },
    ...{
      send: (frame: string) => sent.push(JSON.parse(frame)) > 0,
      bufferedBytes: () => 0,
      fetchCredentials: () => new Promise(() => {}),
    },
    ...{ put: () => Promise.reject(new Error('no objects here')), adapters: ADAPTERS, gitEnvironment: {} },
    ...{ agentPath: '/usr/bin', allowsLocalRepositories: true, isolation: 'shared_uid', onTick: () => {} },
  };
  const config = SessionConfig.parse({
    ...{ sessionId: SESSION, tenantId: 'local', agentId: 'agt_01J0000000000000000000000A', provider },
    ...{ buildId: 'local', model: 'default', repository: { url: '/nowhere' } },
  });
  const assign = { sessionId: SESSION, epoch: 1, config, capability: 'cap-cap', taskDefinition: 't', ranMs: 0 };
  const open = (saved: SavedSession | null) =>
    new SessionRuntime({ assign: { ...assign, checkpoint: null }, ports, config: parsed.config, saved });
  const load = () => SavedSession.parse(JSON.parse(readFileSync(join(folder, 'session.json'), 'utf8')));
  return { runtime: open(null), clock, calls, sent, process, exited: exit.promise, open, load };
};
