/** Every process of a real village killed without a word, one after the other, under a session that is recorded from outside. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { canRecord } from '../fakes/pty-recorder.ts';
import { type TestVillage, testVillage, until } from '../fakes/village.ts';
import {
  eventsOf,
  expectRecorded,
  expectSound,
  expectSoundEnd,
  killed,
  processOf,
  type RecordedShell,
  reaches,
  recordedShell,
  runs,
  startShell,
  viewOf,
} from './faults-support.ts';

let village: TestVillage;
let shells: RecordedShell[];
beforeEach(() => {
  village = testVillage();
  shells = [];
});
afterEach(async () => {
  for (const { viewer } of shells) viewer.close();
  await village.close();
});
const recorded = async (sessionId: string): Promise<RecordedShell> => {
  const shell = await recordedShell(village, sessionId);
  shells.push(shell);
  return shell;
};

describe.skipIf(!canRecord())('kill -9', () => {
  it('of runner process and database: the epoch goes on, every byte and key is kept', async () => {
    await village.start();
    const sessionId = await startShell(village);
    const shell = await recorded(sessionId);
    await shell.says('before');
    for (let round = 1; round <= 3; round += 1) {
      shell.run(`seq -f "runner-${round} %.0f é漢" 2000; echo ${round} >> typed`);
      await killed(village, 'runner-image/src/main.ts');
      await shell.says(`after-runner-${round}`);
      await expectSound(village, { viewers: [shell.viewer] });
    }
    for (let round = 1; round <= 2; round += 1) {
      shell.run(`seq -f "database-${round} %.0f é漢" 2000; echo ${round} >> typed`);
      await killed(village, 'dynoxide serve');
      await until('the next database', () =>
        village.processes().find(({ command }) => command.includes('dynoxide serve')),
      );
      await shell.says(`after-database-${round}`);
      await expectSound(village, { viewers: [shell.viewer] });
    }
    expect(await viewOf(village, sessionId)).toMatchObject({ state: 'running', epoch: 1 });
    await expectSoundEnd(village, [sessionId], { viewers: [shell.viewer] });
    await expectRecorded(village, shell);
  }, 240_000);

  it('of pty-host, then of the whole village: each time the next epoch goes on, and what was shown before is stored', async () => {
    const first = await village.start();
    const sessionId = await startShell(village);
    const shell = await recorded(sessionId);
    await shell.says('first-life');
    await killed(village, 'pty-host/main.ts');
    await reaches(village, sessionId, 'between two epochs', ({ placement }) => placement === null);
    // Somebody who asks for it does not wait for the next look of the reaper.
    await village.api('POST', `/api/sessions/${sessionId}/resume`, {});
    await runs(village, sessionId, 2);
    await until('the new screen', () => (shell.viewer.address()?.epoch === 2 ? true : undefined), 60_000);
    shell.viewer.type('echo second""-life\r');
    await until('its output', () => (shell.viewer.tail().includes('second-life\r\n') ? true : undefined), 60_000);
    await expectSound(village, { viewers: [shell.viewer] });

    first.signal('SIGKILL');
    expect(await first.exited).toBe('SIGKILL');
    await until('the end of every process', () => (village.processes().length === 0 ? true : undefined), 60_000);
    await village.start();
    await runs(village, sessionId, 3);
    const lost = (await eventsOf(village, sessionId)).filter(({ type }) => type === 'runner_lost');
    expect(lost.map(({ epoch }) => epoch)).toEqual([1, 2]);
    await expectSoundEnd(village, [sessionId], { viewers: [shell.viewer] });
    const resumed = (await eventsOf(village, sessionId)).filter(({ type }) => type === 'session_resumed');
    expect(resumed.map(({ epoch }) => epoch)).toEqual([2, 3]);
  }, 240_000);

  it('of the CLI: the session ends, says so, and leaves nothing', async () => {
    await village.start();
    const sessionId = await startShell(village);
    process.kill(processOf(village, '--noprofile --norc'), 'SIGKILL');
    const { state, reason } = await reaches(village, sessionId, 'over', ({ endedAt }) => endedAt !== null);
    expect({ state, reason }).toMatchObject({ state: 'failed', reason: { code: 'provider_exited' } });
    await expectSoundEnd(village, [sessionId]);
  }, 120_000);
});
