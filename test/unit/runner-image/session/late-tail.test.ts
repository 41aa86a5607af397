/** What a session still had to tell when its epoch was closed elsewhere: it is kept beside the log, and nothing else is claimed. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { resumeSession } from '../../../../runner-image/src/session/resume.ts';
import type { SessionRuntime } from '../../../../runner-image/src/session/session-runtime.ts';
import type { ControlToRunnerFrame, RunnerFrame } from '../../../../shared/frames.ts';
import { LATE_ANSWER_MS } from '../../../../shared/limits.ts';
import { openRuntime } from './open-runtime.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'late-tail-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const SESSION = 'ses_01J0000000000000000000000A';
const settle = () => new Promise((resolve) => setImmediate(resolve));
const isOver = async (ended: Promise<void>): Promise<boolean> =>
  Promise.race([ended.then(() => true), settle().then(() => false)]);
const welcome = (open: boolean, ackedRseq = 0): ControlToRunnerFrame => ({
  ...{ type: 'welcome', dial: 1, desired: 'serve' },
  sessions: [
    {
      ...{ sessionId: SESSION, epoch: 1, ackedRseq, open, desired: { desired: 'run', rev: 0 } },
      ...{ decisions: [], watchers: { rev: 0, viewers: [], controllerId: null, controlTerm: 0 }, grants: [] },
    },
  ],
});
type Batch = Extract<RunnerFrame, { type: 'runner_events' }>;
const isBatch = (frame: RunnerFrame): frame is Batch => frame.type === 'runner_events';
const message = (text: string) => ({ type: 'provider_message', role: 'assistant', text }) as const;

/** Answers as a closed epoch does that keeps everything. */
const annex = (runtime: SessionRuntime, sent: readonly RunnerFrame[], reason: 'closed' | 'stale_epoch') => {
  const kept = new Map<number, string>();
  let answered = 0;
  return {
    kept,
    answer: () => {
      const batches = sent.filter(isBatch);
      for (const { firstRseq, events } of batches.slice(answered)) {
        for (const event of events) kept.set(event.rseq, event.type);
        const expected = firstRseq + events.length;
        runtime.onFrame({ type: 'nack', sessionId: SESSION, epoch: 1, firstRseq, reason, expected });
      }
      answered = batches.length;
    },
  };
};
const recorded = (): { rseq: number; type: string }[] =>
  readFileSync(join(folder, 'journal'), 'utf8')
    .split('\n')
    .flatMap((line) => (line.startsWith('{"k":"event"') ? [JSON.parse(line).event] : []));

describe('a session whose epoch is over elsewhere', () => {
  it.each(['closed', 'stale_epoch'] as const)('leaves what it had recorded beside the log (%s)', async (reason) => {
    const { runtime, clock, calls, sent, process } = openRuntime(folder);
    await runtime.agent.terminal.hold({ ackedOffset: 0 });
    runtime.core.freezer.setTarget(process);
    runtime.onFrame(welcome(true));
    runtime.core.record({ type: 'session_frozen', frozen: true, reason: 'x' });
    for (let count = 0; count < 5; count += 1) runtime.core.record(message('x'.repeat(7_500)));
    const { kept, answer } = annex(runtime, sent, reason);
    answer();
    // At once, whatever is still on its way.
    expect(calls).toEqual(['kill at once']);
    await vi.waitFor(async () => {
      answer();
      clock.advance(1_000);
      expect(await isOver(runtime.ended)).toBe(true);
    });
    const types = [...kept.values()];
    expect([...kept.keys()]).toEqual(types.map((_, index) => index + 1));
    expect(types).toEqual(['session_frozen', ...Array(5).fill('provider_message'), 'usage_tick']);
    expect([runtime.isUnwanted, existsSync(join(folder, 'journal'))]).toEqual([false, false]);
  });

  it('does not wait for answers that do not come, and may be taken up for them later', async () => {
    const { runtime, clock, sent, open, load } = openRuntime(folder);
    runtime.onFrame(welcome(true));
    runtime.core.record(message('one'));
    runtime.onFrame(welcome(false));
    await vi.waitFor(() => expect(recorded().at(-1)?.type).toBe('usage_tick'));
    await settle();
    for (let passedMs = 0; passedMs < LATE_ANSWER_MS; passedMs += 500) {
      expect(await isOver(runtime.ended)).toBe(false);
      clock.advance(500);
    }
    await vi.waitFor(async () => expect(await isOver(runtime.ended)).toBe(true));
    expect([runtime.isUnwanted, load().isOver, load().state]).toEqual([false, true, 'created']);
    const again = open(load());
    resumeSession(again, again.options.ports, load());
    const { kept, answer } = annex(again, sent, 'closed');
    again.onFrame(welcome(false));
    answer();
    answer();
    await vi.waitFor(async () => expect(await isOver(again.ended)).toBe(true));
    expect([...kept.values()]).toEqual(['provider_message', 'usage_tick']);
    expect(existsSync(join(folder, 'journal'))).toBe(false);
  });

  it('keeps what nobody could take while the lease was lost for good, and claims no end', async () => {
    const { runtime, clock, sent, load } = openRuntime(folder);
    runtime.core.record(message('one'));
    runtime.abort('lease_lost');
    await vi.waitFor(async () => {
      clock.advance(100);
      expect(await isOver(runtime.ended)).toBe(true);
    });
    expect(sent).toEqual([]);
    expect(recorded().map(({ type }) => type)).toEqual(['provider_message', 'usage_tick']);
    expect([runtime.isUnwanted, load().isOver]).toEqual([false, true]);
  });

  it.each(['unknown_session', 'credential_refused'])('keeps nothing that nobody will ever take (%s)', async (why) => {
    const { runtime, clock } = openRuntime(folder);
    runtime.core.record(message('one'));
    runtime.abort(why);
    await vi.waitFor(async () => {
      clock.advance(100);
      expect(await isOver(runtime.ended)).toBe(true);
    });
    expect(runtime.isUnwanted).toBe(true);
  });
});
