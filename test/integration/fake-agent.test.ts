import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { claudeCodeAdapter } from '../../runner-image/src/adapters/claude-code/adapter.ts';
import { processesWith } from './agent-pty.ts';
import { type ClaudeRun, runClaude } from './claude-support.ts';

const AGENT = fileURLToPath(new URL('../fakes/agent/main.ts', import.meta.url));
let folder: string;
let run: ClaudeRun | undefined;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'village-fake-agent-')));
});
afterEach(async () => {
  await run?.cleanUp();
  run = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** An executable that plays `turns`, to be put in the place of a real CLI. */
function fakeCli(turns: readonly object[]): string {
  const scenario = join(folder, 'scenario.json');
  writeFileSync(scenario, JSON.stringify({ turns }));
  const file = join(folder, 'fake-cli');
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${AGENT}' --scenario '${scenario}' "$@"\n`);
  chmodSync(file, 0o755);
  return file;
}
const start = async (turns: readonly object[]): Promise<ClaudeRun> => {
  run = await runClaude({ file: fakeCli(turns), turns: [] });
  return run;
};
const idle = (at: ClaudeRun, turns: number) =>
  vi.waitFor(() => expect(at.types().filter((type) => type === 'PROVIDER_IDLE')).toHaveLength(turns), {
    timeout: 20_000,
    interval: 20,
  });

describe('the fake agent under the real Claude Code adapter', () => {
  it('plays its turns for real through the gate, and leaves on /exit', async () => {
    const at = await start([
      {
        steps: [
          { say: 'Hello.' },
          { write: { path: 'src/a.txt', content: 'a\n' } },
          { run: 'cat src/a.txt > b.txt; sudo -n true' },
          { run: 'cp src/a.txt c.txt' },
        ],
      },
      { steps: [{ waitMs: 10 }, { run: 'exit 3' }, { say: 'Bye.' }] },
    ]);
    expect(await at.session.ready).toEqual({ kind: 'ready' });
    expect(await at.session.sendInput('one\ntwo')).toEqual({ kind: 'sent', confirmed: true });
    await idle(at, 1);
    expect(readFileSync(join(at.workspace, 'c.txt'), 'utf8')).toBe('a\n');
    expect(existsSync(join(at.workspace, 'b.txt'))).toBe(false);
    await at.session.sendInput('second');
    await idle(at, 2);
    await at.session.sendInput('third');
    await idle(at, 3);
    expect(at.terminal.screenText()).toContain('The scenario has no more turns.');
    expect(at.terminal.screenText()).toContain('Denied: raising privileges is not allowed');
    await at.session.stop({ graceMs: 5_000 });
    expect(await at.session.exited).toMatchObject({ exitCode: 0 });
    expect(processesWith(at.privateDir)).toEqual([]);
    expect(at.events.flatMap((event) => (event.type === 'TURN_STARTED' ? [event.prompt] : []))).toEqual([
      'one\ntwo',
      'second',
      'third',
    ]);
    expect(at.events.flatMap((event) => (event.type === 'HINT_COMMAND_EXECUTED' ? [event.exitCode] : []))).toEqual([
      0, 3,
    ]);
    expect(at.events.at(-1)).toMatchObject({ type: 'PROVIDER_EXITED', expected: true });
    expect(at.types().filter((type) => type === 'MODEL_USAGE')).toHaveLength(3);
  });

  it('reports a prompt that has to wait, and plays it afterwards', async () => {
    const at = await start([
      { steps: [{ run: 'while [ ! -e go ]; do sleep 0.05; done' }] },
      { steps: [{ run: 'touch two' }] },
    ]);
    await at.session.ready;
    await at.session.sendInput('one');
    await vi.waitFor(() => expect(at.types()).toContain('TOOL_STARTED'), { timeout: 20_000, interval: 20 });
    await at.session.sendInput('two');
    await vi.waitFor(() => expect(at.types()).toContain('PROVIDER_MESSAGE'), { timeout: 20_000, interval: 20 });
    writeFileSync(join(at.workspace, 'go'), '');
    await idle(at, 1);
    expect(existsSync(join(at.workspace, 'two'))).toBe(true);
    expect(at.types().filter((type) => type === 'TURN_FINISHED')).toHaveLength(2);
  });

  it('stops a turn on Esc and takes the next prompt', async () => {
    const at = await start([
      { steps: [{ say: 'Long.' }, { run: 'sleep 300' }, { write: { path: 'never', content: '' } }] },
      { steps: [{ say: 'Second.' }] },
    ]);
    await at.session.ready;
    await at.session.sendInput('one');
    await vi.waitFor(() => expect(at.types()).toContain('TOOL_STARTED'), { timeout: 20_000, interval: 20 });
    await at.session.interrupt();
    await vi.waitFor(() => expect(at.terminal.screenText()).toContain('Interrupted'), {
      timeout: 20_000,
      interval: 20,
    });
    await idle(at, 1);
    await at.session.sendInput('two');
    await idle(at, 2);
    expect(existsSync(join(at.workspace, 'never'))).toBe(false);
    expect(at.events.flatMap((event) => (event.type === 'TURN_FINISHED' ? [event.outcome] : []))).toEqual([
      'interrupted',
      'done',
    ]);
  });

  it('answers --version as the CLI it stands for', async () => {
    expect(await claudeCodeAdapter.detect(fakeCli([]))).toEqual({ kind: 'found', version: '0.0.1' });
  });
});
