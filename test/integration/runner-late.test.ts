/** A real runner whose epoch was closed elsewhere: its CLI dies at once, what it had still to tell is kept, and nothing stays behind. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { killRunner, type Started } from './crash-support.ts';
import { SESSION_ID, startRunner, startRunnerInProcess } from './runner-fixture.ts';

let runner: Started | null = null;
let inProcess: { stop(): Promise<void> } | null = null;
afterEach(async (context) => {
  if (context.task.result?.state === 'fail') console.log(runner?.log());
  await runner?.stop();
  await inProcess?.stop();
  runner = null;
  inProcess = null;
});

const running = async (): Promise<Started> => {
  runner = await startRunner();
  const { control } = runner;
  await control.until('running', () =>
    control.events.some((event) => event.type === 'session_state_changed' && event.toState === 'running'),
  );
  return runner;
};
const sessionOf = ({ control }: Started) => {
  const [session] = control.sessions;
  if (!session) throw new Error('no session');
  return session;
};
const journalOf = ({ root }: { readonly root: string }): string =>
  join(root, 'state', 'sessions', SESSION_ID, 'journal');
const agentOf = (started: Started): number[] => started.processesWith(`HOME=${join(started.root, 'state')}`);
/** Numbers of everything that was stored: in the log, then beside it. */
const numbers = (started: Started): number[] => {
  const { events, annex } = sessionOf(started);
  return [...events, ...annex].map(({ rseq }) => rseq);
};
const expectAllKept = (started: Started): void => {
  const { events, annex } = sessionOf(started);
  expect(started.control.problems).toEqual([]);
  expect(numbers(started)).toEqual(numbers(started).map((_, index) => index + 1));
  // The time that was still spent is told; no end is claimed that the control plane has not decided.
  expect(annex.at(-1)).toMatchObject({ type: 'usage_tick', final: true });
  const claims = ['session_ended', 'workspace_cleaned', 'epoch_drained'];
  expect([...events, ...annex].filter(({ type }) => claims.includes(type))).toEqual([]);
  expect([agentOf(started), existsSync(join(started.root, 'state'))]).toEqual([[], false]);
};

describe('an epoch that the control plane has closed', () => {
  it('gets what could not be delivered at first before the next epoch begins on the same runner', async () => {
    const started = await startRunnerInProcess({ kind: 'group' });
    inProcess = started;
    const { control, configOf } = started;
    const first = control.add(configOf('A'));
    await control.until('running', () => first.events.some(({ toState }) => toState === 'running'));
    first.isDeaf = true;
    first.close();
    const nack = {
      type: 'nack',
      sessionId: SESSION_ID,
      epoch: 1,
      firstRseq: 1,
      reason: 'closed',
      expected: 1,
    } as const;
    control.post(nack);
    // As long as somebody may still answer, and no longer.
    await vi.waitFor(() => expect(started.health().sessions).toEqual([]), { timeout: 20_000, interval: 50 });
    expect([first.annex, existsSync(journalOf(started))]).toEqual([[], true]);
    first.isDeaf = false;
    const second = control.add(configOf('A'), 2);
    await control.until('the next epoch', () => second.events.some(({ toState }) => toState === 'running'));
    const all = [...first.events, ...first.annex].map(({ rseq }) => rseq);
    expect(all).toEqual(all.map((_, index) => index + 1));
    expect(first.annex.at(-1)).toMatchObject({ type: 'usage_tick', final: true });
    expect(control.problems).toEqual([]);
  });

  it('keeps what its runner hears too late to say, batch by batch', async () => {
    const started = await running();
    const { control, exited } = started;
    sessionOf(started).close();
    expect(await exited).toBe(0);
    expectAllKept(started);
    const late = control.frames.filter(
      (frame) => frame.type === 'runner_events' && frame.firstRseq > control.events.length,
    );
    expect(late.length).toBeGreaterThan(1);
  });

  it('keeps what stood in the journal of a runner that had crashed', async () => {
    const started = await running();
    started.control.swallowAcks(1);
    await killRunner(started, () => {
      sessionOf(started).close();
      expect(existsSync(journalOf(started))).toBe(true);
    });
    expect(await started.exited).toBe(0);
    expectAllKept(started);
  });

  it('is closed for a runner that has lost its journal, which gives no number twice', async () => {
    const started = await running();
    const { control } = started;
    await killRunner(started, () => rmSync(journalOf(started)));
    const before = control.events.length;
    await control.until('the loss', () =>
      control.frames.find(
        (frame) => frame.type === 'hello' && frame.sessions.some(({ journalLost }) => journalLost === true),
      ),
    );
    expect(await started.exited).toBe(0);
    expect(control.problems).toEqual([]);
    expect([control.events.length, sessionOf(started).annex]).toEqual([before, []]);
    expect([agentOf(started), existsSync(join(started.root, 'state'))]).toEqual([[], false]);
  });
});
