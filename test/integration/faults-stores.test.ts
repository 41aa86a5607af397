/** What a session stands on gives way: a throttled database, a full disk, clocks that move. Nothing is lost and nothing is billed twice. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../shared/clock.ts';
import { movedClock } from '../fakes/moved-clock.ts';
import { type OwnRunnerSetup, ownRunner } from '../fakes/own-runner-process.ts';
import { canRecord } from '../fakes/pty-recorder.ts';
import { throttledDatabase } from '../fakes/throttled-database.ts';
import { type TestVillage, testVillage, until } from '../fakes/village.ts';
import { databaseAt } from '../fakes/village-database.ts';
import {
  eventsOf,
  expectRecorded,
  expectSound,
  expectSoundEnd,
  PATIENCE_MS,
  type RecordedShell,
  recordedShell,
  runs,
  startShell,
  viewOf,
} from './faults-support.ts';

/** How long the database refuses everything: a minute with VILLAGE_LONG=1. */
const THROTTLED_MS = process.env.VILLAGE_LONG ? 60_000 : 8_000;
const HOUR_MS = 60 * 60_000;
const TIMEOUT_MS = 300_000;
let village: TestVillage;
let cleanUps: (() => Promise<unknown> | unknown)[];
beforeEach(() => {
  village = testVillage();
  cleanUps = [];
});
afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
  await village.close();
});
const recorded = async (sessionId: string): Promise<RecordedShell> => {
  const shell = await recordedShell(village, sessionId);
  cleanUps.push(() => shell.viewer.close());
  return shell;
};
const runner = async (setup: OwnRunnerSetup) => {
  const started = await ownRunner(village, setup);
  cleanUps.push(() => {
    started.kill();
    return started.exited;
  });
  return started;
};

describe.skipIf(!canRecord())('a database that is throttled', () => {
  it(
    `for ${THROTTLED_MS / 1_000} s: the session goes on in its epoch, and everything is stored when it is over`,
    async () => {
      const throttled = await throttledDatabase(join(village.root, 'database'));
      cleanUps.push(() => throttled.close());
      await village.start({ args: ['--dynamodb-endpoint', throttled.endpoint] });
      const database = databaseAt(throttled.direct);
      cleanUps.push(() => database.close());
      const shell = await recorded(await startShell(village));
      await shell.says('before');
      shell.run('for i in $(seq 1 40); do echo $i >> typed; seq -f "throttled %.0f é漢" 100; sleep 0.1; done');
      await until('the command', () => (shell.viewer.tail().includes('throttled 100') ? true : undefined), PATIENCE_MS);
      throttled.throttle(true);
      const overAtMs = systemClock.monotonicMs() + THROTTLED_MS;
      await until(
        'the end of the throttling',
        () => (systemClock.monotonicMs() >= overAtMs ? true : undefined),
        2 * THROTTLED_MS,
      );
      expect(throttled.refused()).toBeGreaterThan(0);
      throttled.throttle(false);
      await shell.says('after');
      expect(await viewOf(village, shell.sessionId)).toMatchObject({ state: 'running', epoch: 1 });
      await expectSoundEnd(village, [shell.sessionId], { viewers: [shell.viewer], database });
      await expectRecorded(village, shell);
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(!canRecord())('a full disk', () => {
  it(
    'under a runner: frozen and unbilled, on when there is room, nothing lost',
    async (context) => {
      const mount = join(village.root, 'small');
      mkdirSync(mount);
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'none', mount], { stdio: 'ignore' });
      } catch {
        return context.skip('mounting is not permitted here');
      }
      cleanUps.push(() => execFileSync('umount', ['--lazy', mount]));
      await village.start();
      const { group, workspace } = await runner({ name: 'full', workspace: join(mount, 'runner') });
      const shell = await recorded(await startShell(village, { pool: group }));
      await shell.says('before');
      const filler = join(mount, 'filler');
      for (let sizeBytes = 1 << 20; sizeBytes >= 1; sizeBytes >>= 1)
        try {
          for (;;) writeFileSync(filler, Buffer.alloc(sizeBytes), { flag: 'a' });
        } catch {
          // No room for so much: the next, smaller piece.
        }
      shell.run('for i in $(seq 400); do printf "%0800d\\n" $i; done');
      // What stops the programs is seen in the system; the event can only be written when there is room.
      const frozen = (is: boolean) =>
        until(`frozen: ${is}`, () => (stopped(village) === is ? true : undefined), PATIENCE_MS, village.taskLogs);
      await frozen(true);
      rmSync(filler);
      await frozen(false);
      await shell.says('after');
      const told = (await eventsOf(village, shell.sessionId)).flatMap((event) =>
        event.type === 'session_frozen' ? [event.frozen] : [],
      );
      expect(told.slice(0, 2)).toEqual([true, false]);
      await expectSoundEnd(village, [shell.sessionId], { viewers: [shell.viewer], roots: [workspace] });
      await expectRecorded(village, shell);
    },
    TIMEOUT_MS,
  );
});

/** Whether the session's shells are stopped by a signal. */
const stopped = ({ processes }: TestVillage): boolean => {
  const shells = processes().filter(({ command }) => command.includes('--noprofile --norc'));
  const states = shells.map(({ pid }) =>
    execFileSync('ps', ['-o', 'state=', '-p', String(pid)])
      .toString()
      .trim(),
  );
  return states.length > 0 && states.every((state) => state.startsWith('T'));
};

describe.skipIf(!canRecord())('a clock that moves', () => {
  it(
    'of the runner, hours ahead, back and a day on, in a time of its own: the session goes on, its bill is the platform’s',
    async () => {
      await village.start();
      const clock = movedClock(village.root, 'runner');
      clock.move(3 * HOUR_MS);
      let wrap: readonly string[] = [];
      try {
        // A monotonic clock and one that counts suspend which are a day ahead of everybody else's.
        const time = ['--time', '--monotonic', '86400', '--boottime', '86400', '--fork', '--kill-child'];
        execFileSync('unshare', [...time, 'true'], { stdio: 'ignore' });
        wrap = ['unshare', ...time];
      } catch {
        // Not permitted: the wall clock alone moves.
      }
      console.log(`clock: wall clock moved${wrap.length > 0 ? ', monotonic and boot time in a namespace' : ''}`);
      const { group, workspace } = await runner({ name: 'late', nodeArgs: clock.nodeArgs, wrap });
      const shell = await recorded(await startShell(village, { pool: group }));
      await shell.says('ahead');
      for (const [words, ms] of [
        ['behind', -2 * HOUR_MS],
        ['a-day-on', 24 * HOUR_MS],
        ['right', 0],
      ] as const) {
        clock.move(ms);
        shell.run(`seq -f "${words} %.0f" 500; echo ${words} >> typed`);
        await shell.says(`and-${words}`);
        await expectSound(village, { viewers: [shell.viewer] });
      }
      expect(await viewOf(village, shell.sessionId)).toMatchObject({ state: 'running', epoch: 1 });
      const stored = await expectSoundEnd(village, [shell.sessionId], { viewers: [shell.viewer], roots: [workspace] });
      await expectRecorded(village, shell);
      const [session] = stored.sessions;
      expect(session?.meta.usage.agentMs).toBeLessThan(TIMEOUT_MS);
    },
    TIMEOUT_MS,
  );

  it(
    'of the control plane, ahead of every lease and back: sessions go on, each promise holds',
    async () => {
      const clock = movedClock(village.root, 'village');
      await village.start({ env: { NODE_OPTIONS: clock.nodeArgs.join(' ') } });
      const sessionId = await startShell(village);
      const shell = await recorded(sessionId);
      await shell.says('before');
      clock.move(HOUR_MS);
      await shell.says('ahead');
      await expectSound(village, { viewers: [shell.viewer] });
      clock.move(-HOUR_MS / 2);
      await shell.says('behind');
      await expectSound(village, { viewers: [shell.viewer] });
      clock.move(0);
      await shell.says('right');
      await runs(village, sessionId, 1);
      await expectSoundEnd(village, [sessionId], { viewers: [shell.viewer] });
      await expectRecorded(village, shell);
    },
    TIMEOUT_MS,
  );
});
