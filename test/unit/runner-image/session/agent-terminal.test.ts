/** The end of a terminal: what its program printed last is read before anybody stores what was printed. */
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../../../runner-image/src/log.ts';
import type { PtyExit, PtyHost, PtyProcess } from '../../../../runner-image/src/pty-host/client.ts';
import { AgentTerminal } from '../../../../runner-image/src/session/agent-terminal.ts';
import type { TerminalStream } from '../../../../runner-image/src/stream/terminal-stream.ts';
import { manualClock } from '../manual-clock.ts';

const open = () => {
  const log: string[] = [];
  const exit = Promise.withResolvers<PtyExit>();
  let read: (bytes: Buffer, rawOffset: number) => void = () => {};
  const program: PtyProcess = {
    ...{ id: 'ses_1#1', pid: 2 ** 22 + 1, mark: 'mark', lanes: [], exited: exit.promise },
    ...{ ack: () => {}, write: async () => {}, resize: async () => {}, signal: async () => {} },
    ...{ freeze: async () => {}, thaw: async () => {}, release: async () => {} },
    onData: (reader) => {
      read = reader;
    },
    kill: async () => void log.push('killed'),
  };
  const host: PtyHost = {
    ...{ spawn: async () => program, adopt: async () => program, list: async () => [], settled: async () => {} },
    ...{ lost: new Promise(() => {}), close: () => {} },
  };
  const terminal = new AgentTerminal({
    ...{ host, ptyId: 'ses_1#1', clock: manualClock(), log: silentLog },
    onBroken: (error) => log.push(String(error)),
  });
  const stream = {
    size: { cols: 80, rows: 24, sizeRev: 0 },
    accept: (bytes: Buffer) => log.push(`read ${bytes}`),
    end: () => log.push('ended'),
  };
  terminal.setStream(stream as unknown as TerminalStream);
  return { terminal, log, exit, print: (text: string) => read(Buffer.from(text), 0) };
};

describe('a terminal that is ended', () => {
  it('is over when its last bytes were read, not when its processes are gone', async () => {
    const { terminal, log, exit, print } = open();
    await terminal.hold({ ackedOffset: 0 });
    await terminal.port.adopt();
    const killed = terminal.kill().then(() => log.push('over'));
    await new Promise((resolve) => setImmediate(resolve));
    print('exit');
    exit.resolve({ kind: 'exited', exitCode: 0, signal: 9 });
    await killed;
    expect(log).toEqual(['killed', 'read exit', 'ended', 'over']);
  });

  it('waits for nothing when nobody reads it', async () => {
    const { terminal, log } = open();
    await terminal.hold({ ackedOffset: 0 });
    await terminal.kill();
    expect(log).toEqual(['killed']);
  });
});
