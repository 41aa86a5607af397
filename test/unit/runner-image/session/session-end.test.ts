/** How a session ends here when something is in a hurry or may not run any more. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { NO_PROGRESS } from '../../../../runner-image/src/checkpoint/manifest.ts';
import { DRAIN_MS, END_LAST_ACK_MS } from '../../../../shared/limits.ts';
import { openRuntime } from './open-runtime.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'session-end-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const settle = () => new Promise((resolve) => setImmediate(resolve));
const isOver = async (ended: Promise<void>): Promise<boolean> =>
  Promise.race([ended.then(() => true), settle().then(() => false)]);

describe('a session that ends already', () => {
  it('is in a hurry too from the moment at which its runner is told to go', async () => {
    const { runtime, clock } = openRuntime(folder);
    void runtime.stop();
    // Its last events wait for an acknowledgement that does not come.
    await vi.waitFor(() => expect(readFileSync(join(folder, 'journal'), 'utf8')).toContain('workspace_cleaned'));
    expect(END_LAST_ACK_MS).toBeGreaterThan(2 * DRAIN_MS);
    runtime.hurry.tell(DRAIN_MS);
    for (let passedMs = 0; passedMs < DRAIN_MS; passedMs += 500) {
      clock.advance(500);
      await settle();
    }
    expect(await isOver(runtime.ended)).toBe(true);
  });
});

describe('a session whose epoch is over elsewhere', () => {
  it.each(['lease_lost', 'stale_epoch'])('does not run on for its end (%s)', async (why) => {
    const { runtime, clock, calls, process, exited } = openRuntime(folder);
    await runtime.agent.terminal.hold({ ackedOffset: 0 });
    runtime.core.freezer.setTarget(process);
    runtime.agent.setProvider({
      ...{ pid: process.pid, ready: new Promise(() => {}), exited },
      sendInput: async () => ({ kind: 'refused', reason: 'none' }),
      interrupt: async () => {},
      stop: async () => void calls.push('asked to stop'),
    });
    if (why === 'lease_lost') await runtime.core.freezer.set('lease_lost', true);
    runtime.abort(why);
    await vi.waitFor(async () => {
      clock.advance(1_000);
      expect(await isOver(runtime.ended)).toBe(true);
    });
    expect(calls.filter((call) => call !== 'freeze')[0]).toBe('kill at once');
  });

  it('lets nothing run on that could not be killed at once', async () => {
    const { runtime, clock, calls, process, exited } = openRuntime(folder);
    Object.assign(process, {
      kill: async (how?: string) => {
        calls.push(how === 'at_once' ? 'kill at once' : 'kill');
        throw new Error('left over');
      },
    });
    await runtime.agent.terminal.hold({ ackedOffset: 0 });
    runtime.core.freezer.setTarget(process);
    runtime.agent.setProvider({
      ...{ pid: process.pid, ready: new Promise(() => {}), exited },
      sendInput: async () => ({ kind: 'refused', reason: 'none' }),
      interrupt: async () => {},
      stop: async () => void calls.push('asked to stop'),
    });
    await runtime.core.freezer.set('lease_lost', true);
    runtime.abort('lease_lost');
    await vi.waitFor(async () => {
      clock.advance(1_000);
      expect(await isOver(runtime.ended)).toBe(true);
    });
    // A kill in good order, and an adapter's stop, let what was held go on for a moment.
    expect(new Set(calls)).toEqual(new Set(['freeze', 'kill at once', 'release']));
  });
});

describe('prompts on their way in the epoch before', () => {
  it('are kept from the moment at which they are known, and once only, also over a crash of the runner', () => {
    const { runtime, open, load } = openRuntime(folder, 'claude_code');
    const progress = {
      ...NO_PROGRESS,
      promptDone: true,
      prompts: 4,
      turnsDone: 1,
      turnOpen: true,
      pending: ['a', 'b'],
    };
    runtime.prompts.restore(progress);
    const texts = () => load().prompts.map(({ text }) => text);
    expect(texts()).toEqual([expect.stringContaining('moved to another machine'), 'a', 'b']);
    expect(load().progress).toMatchObject({ prompts: 4, turnsDone: 1 });
    // The step in which it was restored is done again.
    open(load()).prompts.restore(progress);
    expect(texts()).toEqual([expect.stringContaining('moved to another machine'), 'a', 'b']);
    expect(load().progress).toMatchObject({ prompts: 4, turnsDone: 1 });
  });
});
