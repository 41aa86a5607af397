import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { claudeCli } from './claude-support.ts';
import { startRunner } from './runner-fixture.ts';

type Started = Awaited<ReturnType<typeof startRunner>>;
let runner: Started | null = null;
afterEach(async (context) => {
  if (context.task.result?.state === 'fail') console.log(runner?.log());
  await runner?.stop();
  runner = null;
});

const scenario = {
  turns: [{ steps: [{ say: 'I write a file.' }, { write: { path: 'src/a.txt', content: 'one\ntwo\n' } }] }],
};

describe('the real Claude Code on the real runner', () => {
  it('plays its script, edits the clone, and completes by itself', async (context) => {
    const cli = await claudeCli();
    if (cli.kind === 'missing') return context.skip(cli.reason);
    runner = await startRunner({
      env: { CLAUDE_CODE_PATH: cli.file },
      config: { provider: 'claude_code', model: 'scripted', endWhenDone: true },
      credentials: { model: { kind: 'scripted', scenario }, inputs: { prompt: 'Write the file.' } },
    });
    const { control } = runner;
    expect(await runner.exited).toBe(0);
    expect(control.problems).toEqual([]);
    const types = control.events.map(({ type }) => type);
    expect(control.events.at(-1)).toMatchObject({ state: 'completed', reason: { code: 'done' } });
    expect(types).toEqual(
      expect.arrayContaining(['gate_proven', 'turn_started', 'tool_requested', 'turn_finished', 'file_touched']),
    );
    expect(types.indexOf('gate_proven')).toBeLessThan(types.indexOf('turn_started'));
    const diff = control.events.findLast(({ type }) => type === 'diff_summary');
    expect(JSON.parse(String(control.objects.get(String(diff?.key))))).toMatchObject({
      files: [{ path: 'src/a.txt', status: 'added', added: 2 }],
    });
    const hello = control.frames.find(({ type }) => type === 'hello');
    expect(hello).toMatchObject({ clis: { claude_code: expect.stringMatching(/^\d+\.\d+\.\d+$/) } });
    expect(runner.processesWith(runner.root)).toEqual([]);
    expect(runner.workspaces()).toEqual([]);
  });

  it('fails with the last screen when the CLI ends at once', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'broken-cli-'));
    try {
      const file = join(folder, 'claude');
      const version = 'if [ "$1" = --version ]; then echo "2.1.330 (Claude Code)"; exit 0; fi';
      writeFileSync(file, `#!/bin/sh\n${version}\necho "license has expired"\nexit 4\n`, { mode: 0o755 });
      runner = await startRunner({
        env: { CLAUDE_CODE_PATH: file },
        config: { provider: 'claude_code', model: 'scripted' },
        credentials: { model: { kind: 'scripted', scenario } },
      });
      expect(await runner.exited).toBe(0);
      const { events, problems } = runner.control;
      expect(problems).toEqual([]);
      expect(events.findLast(({ type }) => type === 'session_state_changed')).toMatchObject({
        toState: 'failed',
        reason: { step: 'starting_provider', lastScreen: expect.stringContaining('license has expired') },
      });
      expect(runner.workspaces()).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
