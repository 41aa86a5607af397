/** `village sessions attach` in a real terminal, over a gateway that reorders and repeats: the session's screen, keys and size. */
import { dirname, join } from 'node:path';
import xtermHeadless from '@xterm/headless';
import nodePty from 'node-pty';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ROOT, type TestVillage, testVillage, until } from '../fakes/village.ts';

const SIZE = { cols: 71, rows: 19 };
const Started = z.object({ sessionId: z.string() });

/** A terminal as a person has it: it answers what programs ask of it. `leave` ends the program, if it still runs. */
const terminalWith = (village: TestVillage, sessionId: string) => {
  const screen = new xtermHeadless.Terminal({ ...SIZE, allowProposedApi: true, scrollback: 1_000 });
  const answers: string[] = [];
  const args = [join(ROOT, 'cli/main.ts'), '--data-dir', village.dataDir, 'sessions', 'attach', sessionId];
  const child = nodePty.spawn(process.execPath, args, {
    ...SIZE,
    cwd: village.root,
    env: { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: join(village.root, 'home'), NO_COLOR: '1' },
    name: 'xterm-256color',
    encoding: null,
  });
  const write = (data: string): void => void child._socket.write(data);
  let isRunning = true;
  const exited = new Promise<number>((resolve) =>
    child.onExit(({ exitCode }) => {
      isRunning = false;
      resolve(exitCode);
    }),
  );
  screen.onData((answer) => {
    answers.push(answer);
    write(answer);
  });
  child.onData((data) => screen.write(data));
  const text = (): string => {
    const buffer = screen.buffer.active;
    return Array.from({ length: buffer.length }, (_, y) => buffer.getLine(y)?.translateToString(true) ?? '').join('\n');
  };
  const shows = (what: RegExp): Promise<true> =>
    until(
      String(what),
      () => what.test(text()) || undefined,
      20_000,
      () => text().slice(-2_000),
    );
  const leave = async (): Promise<void> => {
    if (isRunning) process.kill(child.pid, 'SIGKILL');
    await exited;
    screen.dispose();
  };
  return { child, write, exited, shows, text, answers, leave };
};

describe('sessions attach', () => {
  const village = testVillage();
  let sessionId = '';
  beforeAll(async () => {
    await village.start({ args: ['--chaos', 'seed=11,reorder=0.2,duplicate=0.2'] });
    const repository = village.repository('attached');
    const started = await village.json('sessions', 'start', '--provider', 'shell', '--repo', repository);
    sessionId = Started.parse(started).sessionId;
    const { code } = await village.command('sessions', 'wait', sessionId, '--state', 'running', '--timeout', '30');
    expect(code).toBe(0);
  }, 120_000);
  afterAll(() => village.close());

  it('types in order, has the size of its terminal, answers no query, and leaves the session running', async () => {
    const terminal = terminalWith(village, sessionId);
    try {
      await terminal.shows(/[#$] /);
      for (const key of 'echo "typed-$((6*7))-in-order"; stty size\r') terminal.write(key);
      await terminal.shows(/^typed-42-in-order$/m);
      await terminal.shows(/^19 71$/m);
      terminal.child.resize(90, 25);
      terminal.write('until [ "$(stty size)" = "25 90" ]; do sleep 0.05; done; echo re"sized"\r');
      await terminal.shows(/^resized$/m);
      // The runner's answer arrives, once: what this terminal would say too would stand in the next line.
      terminal.write(`IFS= read -rsd R -p $'\\033[6n' place; echo "column \${place##*;}"\r`);
      await terminal.shows(/^column 1$/m);
      expect(terminal.answers).toEqual([]);
      terminal.write('\u001d');
      expect(await terminal.exited).toBe(0);
      await terminal.shows(/goes on/);
    } finally {
      await terminal.leave();
    }
    expect(await village.json('sessions', 'show', sessionId)).toMatchObject({ state: 'running' });
  });

  it('shows the screen as it was left when somebody comes back, and ends with the session', async () => {
    const terminal = terminalWith(village, sessionId);
    try {
      await terminal.shows(/^typed-42-in-order$/m);
      terminal.write('exit\r');
      expect(await terminal.exited).toBe(0);
    } finally {
      await terminal.leave();
    }
  });
});
