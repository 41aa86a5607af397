/**
 * A coding CLI without a model: it plays a scenario file in its terminal, for load and simulation. Started with Claude Code's own arguments it
 * also calls the hooks named in `--settings`, so that the real adapter drives it.
 * usage: node main.ts --scenario <file> [--settings <json>] [--session-id <id> | --resume <id>] [--version]
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Scenario } from '../../../shared/scenario.ts';
import { hookCaller } from './hooks.ts';
import { type Key, readKeys } from './keys.ts';
import { playTurn } from './play-turn.ts';
import { drawBanner, drawInput, drawLine } from './screen.ts';
import { openTranscript } from './transcript.ts';

const FAKE_VERSION = '0.0.1';

const { values } = parseArgs({
  options: {
    scenario: { type: 'string' },
    settings: { type: 'string' },
    'session-id': { type: 'string', default: 'fake-session' },
    resume: { type: 'string' },
    version: { type: 'boolean', default: false },
  },
  strict: false,
});
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

async function main(): Promise<void> {
  if (values.version === true) {
    console.log(`${FAKE_VERSION} (Claude Code)`);
    return;
  }
  const scenario = Scenario.parse(JSON.parse(readFileSync(text(values.scenario) ?? '', 'utf8')));
  const resumed = text(values.resume);
  const sessionId = resumed ?? text(values['session-id']) ?? '';
  const transcript = openTranscript(process.env.HOME ?? '', sessionId);
  const callHook = hookCaller(text(values.settings), sessionId, transcript.file);
  await callHook('SessionStart', { source: resumed === undefined ? 'startup' : 'resume' });
  drawBanner(FAKE_VERSION);
  drawInput('');
  let box = '';
  let nextTurn = 0;
  let running: AbortController | undefined;
  const queued: string[] = [];

  const play = async (prompt: string): Promise<void> => {
    running ??= new AbortController();
    drawLine(`❯ ${prompt}`);
    const said = await playTurn(scenario.turns[nextTurn], {
      callHook,
      signal: running.signal,
      workspace: process.cwd(),
    });
    nextTurn += 1;
    if (running.signal.aborted) transcript.interrupted();
    else {
      transcript.answered(said);
      await callHook('Stop', { last_assistant_message: said });
    }
    running = undefined;
    drawInput(box);
    const next = queued.shift();
    if (next !== undefined) await play(next);
  };
  const submit = async (prompt: string): Promise<void> => {
    // Like the real CLI: a prompt is reported when Enter is pressed, also when it has to wait.
    const hasToWait = running !== undefined;
    if (hasToWait) queued.push(prompt);
    else running = new AbortController();
    await callHook('UserPromptSubmit', { prompt });
    if (!hasToWait) await play(prompt);
  };
  const leave = async (): Promise<void> => {
    running?.abort();
    await callHook('SessionEnd', { reason: 'prompt_input_exit' });
    process.exit(0);
  };
  const onKey = async (key: Key): Promise<void> => {
    if (key.kind === 'text') box += key.text;
    else if (key.kind === 'erase') box = '';
    else if (key.kind === 'interrupt') {
      if (running === undefined && key.isCtrlC) return await leave();
      running?.abort();
    } else {
      const prompt = box.trim();
      box = '';
      if (prompt === '/exit') return await leave();
      if (prompt === '') return;
      return await submit(prompt);
    }
    if (running === undefined) drawInput(box);
  };
  readKeys(process.stdin, (key) => {
    onKey(key).catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
  });
}

await main();
