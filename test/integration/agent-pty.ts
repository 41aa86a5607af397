/** The adapters' PTY port on node-pty directly, with a screen model, so that adapters are tested without the runner around them. */
import { closeSync, constants, openSync, readdirSync, readFileSync } from 'node:fs';
import xtermHeadless from '@xterm/headless';
import nodePty from 'node-pty';
import { vi } from 'vitest';
import type { AgentExit, PtyPort } from '../../runner-image/src/adapters/contract.ts';

const COLS = 120;
const ROWS = 40;

export interface TestTerminal {
  readonly pty: PtyPort;
  screenText(): string;
  /** All output so far. */
  output(): string;
}

/** Pids whose environment contains `mark`, this process left out. */
export function processesWith(mark: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark) &&
          !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
        );
      } catch {
        // It ended while we looked.
        return false;
      }
    })
    .map(Number);
}

/** `mark` is a text that only this session's processes have in their environment: its private directory. */
export function testTerminal(mark: string): TestTerminal {
  const terminal = new xtermHeadless.Terminal({ cols: COLS, rows: ROWS, allowProposedApi: true });
  let output = '';
  const killAll = () => {
    for (const pid of processesWith(mark)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended between the look and the kill.
      }
    }
  };
  // Nothing outlives the test, also when it throws before its clean-up.
  process.once('exit', killAll);
  const pty: PtyPort = {
    async spawn({ file, args, env, cwd, onOutput }) {
      const child = nodePty.spawn(file, args, {
        cols: COLS,
        rows: ROWS,
        cwd,
        env,
        name: 'xterm-256color',
        encoding: null,
      });
      const slave = openSync(child.ptsName, constants.O_RDWR | constants.O_NOCTTY);
      const exit = Promise.withResolvers<AgentExit>();
      const decoder = new TextDecoder();
      let rawOffset = 0;
      terminal.onData((answer) => child._socket.write(answer));
      child.onData((bytes) => {
        const text = decoder.decode(bytes, { stream: true });
        output += text;
        terminal.write(text);
        onOutput?.(bytes, rawOffset);
        rawOffset += bytes.length;
      });
      child.onExit(({ exitCode, signal }) => {
        closeSync(slave);
        exit.resolve({ kind: 'exited', exitCode, signal: signal || null });
      });
      return {
        pid: child.pid,
        write: async (data) => void child._socket.write(data),
        signal: async (name) => void process.kill(child.pid, name),
        kill: () =>
          // A process that was sent SIGKILL is there until the system has buried it.
          vi
            .waitUntil(
              () => {
                killAll();
                return processesWith(mark).length === 0;
              },
              { timeout: 5_000, interval: 10 },
            )
            .then(() => undefined),
        exited: exit.promise,
      };
    },
    adopt: () => Promise.reject(new Error('there is no runner that could crash')),
  };
  return {
    pty,
    output: () => output,
    screenText() {
      const { active } = terminal.buffer;
      const lines = Array.from(
        { length: ROWS },
        (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '',
      );
      return lines.join('\n').trimEnd();
    },
  };
}
