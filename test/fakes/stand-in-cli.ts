/** Programs that a test plays itself, in the place of pty-host and of a CLI: for the real runner on a clock that jumps. */
import type { Adapter, AgentPty } from '../../runner-image/src/adapters/contract.ts';
import { ADAPTERS } from '../../runner-image/src/adapters/registry.ts';
import type { PtyHost, PtyProcess } from '../../runner-image/src/pty-host/client.ts';

/** A program under a PTY that prints what it is told to. */
export const standInHost = () => {
  let reader: ((bytes: Buffer, offset: number) => void) | undefined;
  let offset = 0;
  const ended = Promise.withResolvers<{ kind: 'exited'; exitCode: number; signal: number | null }>();
  const nothing = async () => {};
  const end = async () => ended.resolve({ kind: 'exited', exitCode: 0, signal: null });
  const host: PtyHost = {
    spawn: async (spec): Promise<PtyProcess> => ({
      ...{ id: spec.id, pid: process.pid, mark: 'stand-in', lanes: [] },
      onData: (next) => {
        reader = next;
      },
      ack: () => {},
      ...{ write: nothing, resize: nothing, freeze: nothing, thaw: nothing, release: nothing },
      signal: end,
      kill: end,
      exited: ended.promise,
    }),
    adopt: async () => {
      throw new Error('nothing was left');
    },
    list: async () => [],
    settled: nothing,
    lost: new Promise(() => {}),
    close: () => {},
  };
  const print = (bytes: Buffer): void => {
    reader?.(bytes, offset);
    offset += bytes.length;
  };
  return { host, print };
};

/** A CLI whose turns are what the test says. */
export const standInCli = (): { adapter: Adapter; emit: (typeof events)['emit'] } => {
  type Emit = Parameters<Adapter['startSession']>[1]['onEvents'];
  let onEvents: Emit = () => {};
  const events = { emit: (...drafts: Parameters<Emit>[0]) => onEvents(drafts, {}) };
  const adapter: Adapter = {
    ...ADAPTERS.shell,
    startSession: async (config, ports) => {
      onEvents = ports.onEvents;
      ports.onEvents([], {});
      const pty: AgentPty = await ports.pty.spawn({
        ...{ file: config.file, args: [], cwd: config.workspace, env: {} },
      });
      events.emit(
        { type: 'PROVIDER_STARTED', pid: pty.pid, cliVersion: '2.1.330' },
        { type: 'PROVIDER_READY', tookMs: 1, degraded: false },
      );
      return {
        kind: 'started',
        session: {
          pid: pty.pid,
          ready: Promise.resolve({ kind: 'ready' }),
          sendInput: async () => ({ kind: 'sent', confirmed: true }),
          interrupt: async () => {},
          stop: () => pty.kill(),
          exited: pty.exited,
        },
      };
    },
  };
  return { adapter, emit: events.emit };
};
