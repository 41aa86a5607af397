/** How many prompts may wait, and what is told to whoever sends one more. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NEW_CLAUDE } from '../../../../runner-image/src/adapters/claude-code/saved.ts';
import { NO_TURNS } from '../../../../runner-image/src/adapters/claude-code/turns.ts';
import { CONTINUE_PROMPT, MOVED_PROMPT } from '../../../../runner-image/src/adapters/type-prompt.ts';
import { NO_PROGRESS, Progress } from '../../../../runner-image/src/checkpoint/manifest.ts';
import {
  PENDING_PROMPTS_MAX,
  PENDING_PROMPTS_MAX_BYTES,
  PROMPT_MAX_CHARS,
  QUEUED_PROMPTS_MAX,
  QUEUED_PROMPTS_MAX_BYTES,
} from '../../../../shared/limits.ts';
import { openRuntime } from './open-runtime.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'prompts-unit-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A session whose CLI takes no prompt yet, and never will. */
const waitingCli = () => {
  const world = openRuntime(folder, 'claude_code');
  world.runtime.agent.setProvider({
    ...{ pid: 1, ready: new Promise(() => {}), exited: new Promise(() => {}) },
    sendInput: () => new Promise(() => {}),
    interrupt: async () => {},
    stop: async () => {},
  });
  return world;
};

it('keeps every prompt that it took, and refuses the next with what to do', async () => {
  const { runtime, load } = waitingCli();
  const texts = Array.from({ length: QUEUED_PROMPTS_MAX }, (_, index) => `prompt ${index}`);
  for (const text of texts) void runtime.prompts.submit(text);
  expect(await runtime.prompts.submit('one too many')).toEqual({
    kind: 'refused',
    reason: '100 prompts wait for the CLI already; send it again when it has taken some of them',
  });
  expect(load().prompts.map(({ text }) => text)).toEqual(texts);
  expect(runtime.prompts.progress().pending).toEqual(texts);
});

it('refuses what would not fit into a checkpoint together with what waits', async () => {
  const { runtime } = waitingCli();
  const text = 'é'.repeat(PROMPT_MAX_CHARS);
  const taken = Math.floor(QUEUED_PROMPTS_MAX_BYTES / (2 * PROMPT_MAX_CHARS + 3));
  for (let count = 0; count < taken; count += 1) void runtime.prompts.submit(text);
  expect(await runtime.prompts.submit(text)).toMatchObject({
    kind: 'refused',
    reason: expect.stringContaining('send it again'),
  });
  expect(runtime.prompts.progress().pending).toHaveLength(taken);
});

it('takes along what waits in the CLI itself, before what waits here', () => {
  const { runtime, open, load } = waitingCli();
  const turns = { ...NO_TURNS, started: 1, open: { turn: 1, startedAtMs: 1 } };
  runtime.agent.remember({
    ...{ cliInstanceId: 'c', workspace: '/w', dummyKey: 'k'.repeat(32), modelPort: null, scriptTurnsDone: 0 },
    provider: { ...NEW_CLAUDE, turns: { ...turns, waiting: [{ prompt: 'in the CLI', atMs: 1 }] } },
  });
  void runtime.prompts.submit('here');
  const { pending } = runtime.prompts.progress();
  expect(pending).toEqual(['in the CLI', 'here']);
  open(load()).prompts.restore(Progress.parse({ ...NO_PROGRESS, promptDone: true, pending }));
  expect(load().prompts.map(({ text }) => text)).toEqual(['in the CLI', 'here']);
});

it('says how many prompts are too much to be taken along', async () => {
  const { runtime, load } = openRuntime(folder, 'claude_code');
  const typed = Array.from({ length: 3 }, () => ({ prompt: 'x'.repeat(PENDING_PROMPTS_MAX_BYTES / 2), atMs: 1 }));
  runtime.agent.remember({
    ...{ cliInstanceId: 'c', workspace: '/w', dummyKey: 'k'.repeat(32), modelPort: null, scriptTurnsDone: 0 },
    provider: { ...NEW_CLAUDE, turns: { ...NO_TURNS, started: 1, waiting: typed } },
  });
  await runtime.prompts.freeze();
  expect(runtime.prompts.progress().pending).toHaveLength(1);
  runtime.core.save();
  const journal = readFileSync(join(folder, 'journal'), 'utf8');
  expect(journal).toContain('2 prompts that waited in the CLI are too much to be taken along');
  expect(load().state).toBe('created');
});

it('leaves all of them to the next epoch, also when a turn was cut and the session moves more than once', () => {
  const { runtime, open, load } = waitingCli();
  const texts = Array.from({ length: QUEUED_PROMPTS_MAX }, (_, index) => `prompt ${index}`);
  for (const text of texts) void runtime.prompts.submit(text);
  runtime.prompts.askToGoOn();
  runtime.prompts.askToGoOn();
  let pending = runtime.prompts.progress().pending;
  expect(pending).toEqual([...texts, CONTINUE_PROMPT]);
  for (let move = 0; move < 3; move += 1) {
    const progress = Progress.parse({ ...NO_PROGRESS, promptDone: true, turnOpen: true, pending });
    const next = open(load());
    next.prompts.restore(progress);
    pending = next.prompts.progress().pending;
    expect(pending).toEqual([MOVED_PROMPT, ...texts, CONTINUE_PROMPT]);
  }
  expect(pending).toHaveLength(PENDING_PROMPTS_MAX);
});
