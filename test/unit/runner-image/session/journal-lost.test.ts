/** A journal that does not hold what the runner had recorded: no number is given twice, and the control plane is told. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { realDisk } from '../../../../runner-image/src/transport/disk.ts';
import { openCore } from './open-core.ts';
import { openRuntime } from './open-runtime.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'journal-lost-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const journal = () => join(folder, 'journal');
const message = { type: 'provider_message', role: 'assistant', text: 'x' } as const;

/** A session that ran, whose runner process is gone. */
const crashed = (acked: boolean) => {
  const { core, deliver } = openCore(folder, realDisk);
  core.begin();
  core.events.onWelcome(0);
  for (const type of ['PREPARE', 'PREPARED', 'READY'] as const) core.move({ type });
  if (acked) deliver();
  core.save();
  core.events.close(false);
};

describe('a journal that was lost', () => {
  it.each([
    ['whole', true, () => rmSync(journal())],
    ['before anything of it was stored', false, () => rmSync(journal())],
    [
      'in part',
      false,
      () => {
        const lines = readFileSync(journal(), 'utf8').split('\n');
        writeFileSync(journal(), `${lines.slice(0, 2).join('\n')}\n`);
      },
    ],
  ])('%s: holds the session and sends nothing under a number that was given', async (_name, acked, lose) => {
    crashed(acked);
    lose();
    const { core, sent, held, target } = openCore(folder, realDisk);
    core.freezer.setTarget(target);
    core.record(message);
    core.events.onWelcome(0);
    core.events.flush(true);
    await setImmediate();
    expect([sent, held, core.isJournalLost]).toEqual([[], ['freeze'], true]);
    expect(core.freezer.reasons).toContain('stream_broken');
  });

  it('stays lost over every restart that follows, whatever was recorded since', async () => {
    crashed(true);
    rmSync(journal());
    for (let restart = 1; restart <= 3; restart += 1) {
      const { core, sent, target } = openCore(folder, realDisk);
      core.freezer.setTarget(target, restart > 1);
      for (let at = 0; at < 8; at += 1) core.record(message);
      core.save();
      core.events.onWelcome(5);
      core.events.flush(true);
      await setImmediate();
      expect([sent, core.isJournalLost, core.freezer.reasons]).toEqual([[], true, ['stream_broken']]);
      core.events.close(false);
    }
  });

  it('stays lost when the control plane found it, also once as much was recorded as it has', async () => {
    crashed(false);
    const { core } = openCore(folder, realDisk);
    core.events.onWelcome(9);
    for (let at = 0; at < 20; at += 1) core.record(message);
    core.events.close(false);
    const after = openCore(folder, realDisk);
    after.core.events.onWelcome(9);
    after.core.events.flush(true);
    await setImmediate();
    expect([after.sent, after.core.isJournalLost]).toEqual([[], true]);
  });

  it('is not what a crash between journal and state looks like', async () => {
    crashed(false);
    const { core, types } = openCore(folder, realDisk);
    core.events.onWelcome(0);
    core.events.flush();
    await setImmediate();
    expect(core.isJournalLost).toBe(false);
    expect(types()).toContain('session_state_changed');
  });

  it('is found by what the control plane has, and said at the next hello, once nothing runs on', async () => {
    const { runtime, process, calls } = openRuntime(folder);
    await runtime.agent.terminal.hold({ ackedOffset: 0 });
    runtime.core.freezer.setTarget(process);
    runtime.core.record(message);
    expect(runtime.hello()).not.toHaveProperty('journalLost');
    runtime.core.events.onWelcome(7);
    expect(runtime.hello()).not.toHaveProperty('journalLost');
    await setImmediate();
    expect(calls).toEqual(['freeze']);
    expect(runtime.hello()).toMatchObject({ journalLost: true });
  });
});
