import { once } from 'node:events';
import { globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { SavedSession } from '../../runner-image/src/session/saved-session.ts';
import { textPipeline } from '../../runner-image/src/stream/text-pipeline.ts';
import type { Scenario } from '../../shared/scenario.ts';
import { canRecord, ptyRecorder } from '../fakes/pty-recorder.ts';
import { claudeCli } from './claude-support.ts';
import { expectNothingLost, hookClients, killRunner, type Started, storedText } from './crash-support.ts';
import { type RunnerSetup, SESSION_ID, startRunner } from './runner-fixture.ts';

let runner: Started | null = null;
let file = '';
let skip: string | undefined;
beforeAll(async () => {
  const cli = await claudeCli();
  if (cli.kind === 'ready') file = cli.file;
  else skip = cli.reason;
}, 900_000);
beforeEach((test) => {
  if (skip !== undefined) test.skip(skip);
});
afterEach(async (context) => {
  if (context.task.result?.state === 'fail') console.log(runner?.log());
  await runner?.stop();
  runner = null;
});

const start = async (turns: Scenario['turns'], setup: RunnerSetup = {}, cli = file): Promise<Started> => {
  runner = await startRunner({
    ...setup,
    env: { CLAUDE_CODE_PATH: cli },
    config: { provider: 'claude_code', model: 'scripted', endWhenDone: true },
    credentials: { model: { kind: 'scripted', scenario: { turns } }, inputs: { prompt: 'Play the script.' } },
  });
  runner.control.setWatchers({
    rev: 1,
    viewers: [{ viewerId: 'viewer-1', mode: 'watch' }],
    controllerId: null,
    controlTerm: 0,
  });
  return runner;
};
const seen = ({ control }: Started, type: string, count = 1) =>
  control.until(`${count} ${type}`, () => control.events.filter((event) => event.type === type).length >= count);
const workspace = (started: Started) => join(started.root, 'village', 'workspaces', SESSION_ID);
const typesOf = ({ control }: Started) =>
  control.events
    .map(({ type }) => type)
    .filter((type) => /^(gate_|turn_|tool_|provider_|command_executed|session_ended)/.test(type));
const boot = ['provider_started', 'gate_proven', 'provider_ready'];
const submit = ({ control }: Started, inputSeq: number, data: string) =>
  control.post({
    ...{ type: 'input', sessionId: SESSION_ID, epoch: 1, viewerId: 'api-input', source: 'api', controlTerm: 0 },
    ...{ inputSeq, data, submit: true },
  });
/** Waits for a hook client and stops it before it has asked. */
const stopAtHook = (started: Started): Promise<void> =>
  vi.waitFor(
    () => {
      const clients = hookClients(started);
      for (const pid of clients) process.kill(pid, 'SIGSTOP');
      expect(clients).not.toEqual([]);
    },
    { timeout: 20_000, interval: 2 },
  );
const tool = ['tool_requested', 'tool_started', 'tool_finished'];

// Each of them starts the real CLI: all with VILLAGE_LONG, some in every run.
const isLong = Boolean(process.env.VILLAGE_LONG);
const BOOT_MOMENTS = isLong
  ? ['session_assigned', 'workspace_preparing', 'workspace_ready', 'provider_started', 'gate_proven']
  : ['workspace_ready', 'gate_proven'];
const KILLS_AFTER_MS = isLong ? [0, 700, 50, 1_500, 300, 10, 900, 150, 400, 1_100] : [0, 700, 50, 300];

describe('a crash of the runner under the real Claude Code', () => {
  it('in the middle of an answer: the agent is asked to go on, and the script does where it was', async () => {
    const started = await start([
      { steps: [{ say: 'Part one.' }, { waitMs: 2_000 }, { run: 'date +%N >> ran.txt' }, { say: 'The end.' }] },
      { steps: [{ say: 'Never played.' }] },
    ]);
    const { control } = started;
    await seen(started, 'turn_started');
    await control.until('the stream', () => control.output().includes('Part one.'));
    await killRunner(started);
    await seen(started, 'turn_finished', 2);
    expect(
      readFileSync(join(workspace(started), 'ran.txt'), 'utf8')
        .trim()
        .split('\n'),
    ).toHaveLength(1);
    control.ask('stop');
    expect(await started.exited).toBe(0);
    expectNothingLost(started);
    expect(typesOf(started)).toEqual([
      ...[...boot, 'turn_started'],
      ...['turn_finished', 'provider_idle', 'turn_started', ...tool, 'command_executed'],
      ...['provider_message', 'turn_finished', 'provider_idle', 'provider_exited', 'session_ended'],
    ]);
    expect(started.processesWith(started.root)).toEqual([]);
  });

  it('between turns: the gate stands on, and the next prompt is taken', async () => {
    const started = await start([
      { steps: [{ run: 'echo one >> ran.txt' }] },
      { steps: [{ run: 'echo two >> ran.txt' }] },
    ]);
    const { control } = started;
    await seen(started, 'provider_idle');
    await killRunner(started);
    submit(started, 1, 'And the next.');
    await seen(started, 'provider_idle', 2);
    expect(readFileSync(join(workspace(started), 'ran.txt'), 'utf8')).toBe('one\ntwo\n');
    // The script is played and nobody leads: it completes by itself, as without a crash.
    expect(await started.exited).toBe(0);
    expectNothingLost(started);
    expect(control.events.at(-1)).toMatchObject({ state: 'completed', reason: { code: 'done' } });
    const turn = ['turn_started', ...tool, 'command_executed', 'provider_message', 'turn_finished', 'provider_idle'];
    expect(typesOf(started)).toEqual([...boot, ...turn, ...turn, 'provider_exited', 'session_ended']);
  });

  it('while a tool call waits for its answer: it is held, then answered, and its events come once', async () => {
    const started = await start([
      { steps: [{ write: { path: 'a.txt', content: 'a' } }, { run: 'sudo -n touch never' }, { run: 'touch after' }] },
    ]);
    await seen(started, 'turn_started');
    // Each hook of the first turn is met by a runner that is dead, from PreToolUse to Stop.
    for (const type of ['tool_requested', 'tool_finished', 'tool_denied']) {
      await stopAtHook(started);
      await killRunner(started, () => {
        for (const pid of hookClients(started)) process.kill(pid, 'SIGCONT');
      });
      await seen(started, type);
    }
    await seen(started, 'turn_finished');
    expect(await started.exited).toBe(0);
    expectNothingLost(started);
    expect(typesOf(started)).toEqual([
      ...[...boot, 'turn_started', ...tool, 'tool_requested', 'tool_denied', ...tool, 'command_executed'],
      ...['provider_message', 'turn_finished', 'provider_idle', 'provider_exited', 'session_ended'],
    ]);
  });

  it('while a tool runs: its end is heard by the next runner', async () => {
    const started = await start([{ steps: [{ run: 'while [ ! -e go ]; do sleep 0.1; done; echo ran >> ran.txt' }] }]);
    await seen(started, 'tool_started');
    await killRunner(started, async () => {
      writeFileSync(join(workspace(started), 'go'), '');
      await vi.waitFor(() => expect(hookClients(started)).not.toEqual([]), { timeout: 10_000, interval: 20 });
    });
    expect(await started.exited).toBe(0);
    expectNothingLost(started);
    expect(started.control.events.at(-1)).toMatchObject({ state: 'completed', reason: { code: 'done' } });
    expect(typesOf(started).filter((type) => type.startsWith('tool_'))).toEqual(tool);
  });

  it('with its model port taken meanwhile: it ends, and says why', async () => {
    const started = await start([{ steps: [{ say: 'Wait.' }, { waitMs: 60_000 }] }]);
    const { control } = started;
    await control.until('the stream', () => control.output().includes('Wait.'));
    const [saved = ''] = globSync(join(started.root, 'state', '**', 'session.json'));
    const { agent } = SavedSession.parse(JSON.parse(readFileSync(saved, 'utf8')));
    expect(statSync(saved).mode & 0o777).toBe(0o600);
    const port = agent?.modelPort ?? 0;
    expect(port).toBeGreaterThan(0);
    const thief = createServer();
    try {
      await killRunner(started, async () => {
        thief.listen(port, '127.0.0.1');
        await once(thief, 'listening');
      });
      expect(await started.exited).toBe(0);
    } finally {
      thief.close();
    }
    expectNothingLost(started);
    expect(control.events.at(-1)).toMatchObject({ state: 'failed', reason: { code: 'model_port_taken' } });
    expect(started.processesWith(started.root)).toEqual([]);
  });

  it.each(BOOT_MOMENTS)('at its start, when %s was seen: it starts all the same, once', async (type) => {
    const started = await start([{ steps: [{ run: 'echo ran >> ran.txt' }, { run: 'cat ran.txt > seen.txt' }] }]);
    const { control } = started;
    await seen(started, type);
    await killRunner(started);
    await seen(started, 'provider_idle');
    expect(readFileSync(join(workspace(started), 'seen.txt'), 'utf8')).toBe('ran\n');
    expect(await started.exited).toBe(0);
    expectNothingLost(started);
    expect(control.events.at(-1)).toMatchObject({ state: 'completed', reason: { code: 'done' } });
    expect(typesOf(started)).toEqual([
      ...[...boot, 'turn_started', ...tool, 'command_executed', ...tool, 'command_executed'],
      ...['provider_message', 'turn_finished', 'provider_idle', 'provider_exited', 'session_ended'],
    ]);
    const prompts = control.events.filter((event) => event.type === 'input_received' && event.source === 'prompt');
    expect(prompts).toHaveLength(1);
    expect(started.processesWith(started.root)).toEqual([]);
    expect(started.workspaces()).toEqual([]);
  });

  it(`${KILLS_AFTER_MS.length} times, at any moment: each step is done once, in order, and the terminal is what the CLI wrote`, async (context) => {
    if (!canRecord()) return context.skip('needs script(1)');
    const folder = mkdtempSync(join(tmpdir(), 'recorded-claude-'));
    try {
      const recorder = ptyRecorder(join(folder, 'claude'), [file], join(folder, 'recordings'));
      const steps = Array.from({ length: 16 }, (_, index) => [
        { say: `Step ${index}.` },
        { run: `sleep 0.${index % 4}; echo ${index} >> ran.txt` },
      ]);
      const started = await start([{ steps: steps.flat() }], {}, recorder.file);
      const { control } = started;
      await seen(started, 'turn_started');
      // Moments that no test could choose: after so many milliseconds of whatever is going on.
      for (const afterMs of KILLS_AFTER_MS) {
        const untilMs = Date.now() + afterMs;
        await vi.waitFor(() => expect(Date.now()).toBeGreaterThanOrEqual(untilMs), { timeout: 5_000, interval: 5 });
        await killRunner(started);
      }
      expect(await started.exited).toBe(0);
      expectNothingLost(started);
      expect(control.events.at(-1)).toMatchObject({ state: 'completed', reason: { code: 'done' } });
      const ran = control.events.flatMap((event) => (event.type === 'command_executed' ? [event.command] : []));
      expect(ran).toEqual(steps.map(([, step]) => (step && 'run' in step ? step.run : '')));
      const uses = control.events.flatMap((event) => (event.type === 'tool_finished' ? [event.toolUseId] : []));
      expect(new Set(uses).size).toBe(steps.length);
      const messages = control.events.flatMap((event) => (event.type === 'model_usage' ? [event.messageId] : []));
      expect(new Set(messages).size).toBe(messages.length);
      const pipeline = textPipeline([]);
      const recorded = pipeline.push(recorder.bytes()).text + pipeline.end().text;
      // Before it stands the blank screen that every replay begins with.
      expect(storedText(started).slice(-recorded.length)).toBe(recorded);
      expect(control.events.at(-1)?.offset).toBe(Buffer.byteLength(recorded));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }, 240_000);
});
