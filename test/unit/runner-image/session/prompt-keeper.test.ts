/** How many prompts may wait, and what is told to whoever sends one more. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { CONTINUE_PROMPT, MOVED_PROMPT } from '../../../../runner-image/src/adapters/type-prompt.ts';
import { NO_PROGRESS, Progress } from '../../../../runner-image/src/checkpoint/manifest.ts';
import { PENDING_PROMPTS_MAX, QUEUED_PROMPTS_MAX } from '../../../../shared/limits.ts';
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
