/** An object store that takes a request and never answers: a runner goes in time all the same, and its session goes on from what was stored. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../shared/clock.ts';
import type { WatcherList } from '../../shared/frames.ts';
import { DRAIN_MS } from '../../shared/limits.ts';
import { type RunnerSetup, type RunningRunner, SESSION_ID, startRunner } from './runner-fixture.ts';

const VIEWER = 'viewer-1';
const led: WatcherList = {
  rev: 1,
  viewers: [{ viewerId: VIEWER, mode: 'control' }],
  controllerId: VIEWER,
  controlTerm: 1,
};
const TIMEOUT_MS = 120_000;

const cleanUps: (() => Promise<void>)[] = [];
const logs: (() => string)[] = [];
afterEach(async (context) => {
  if (context.task.result?.state === 'fail') for (const log of logs) console.log(log().slice(-6_000));
  logs.length = 0;
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const start = async (setup?: RunnerSetup): Promise<RunningRunner> => {
  const started = await startRunner(setup);
  cleanUps.push(() => started.stop());
  logs.push(started.log);
  await started.control.until('running', () =>
    started.control.events.find((event) => event.type === 'session_state_changed' && event.toState === 'running'),
  );
  started.control.setWatchers(led);
  return started;
};
const types = (runner: RunningRunner, text: string, inputSeq = 1): void => {
  const epoch = runner.control.sessions[0]?.epoch ?? 0;
  const frame = { sessionId: SESSION_ID, epoch, viewerId: VIEWER, source: 'viewer', controlTerm: 1 } as const;
  runner.control.post({ type: 'input', ...frame, inputSeq, data: text, submit: false });
};
const prints = (runner: RunningRunner, text: string) =>
  runner.control.until(text, () => runner.control.output().includes(text));
const workspaceOf = ({ root }: RunningRunner): string => join(root, 'village/workspaces', SESSION_ID);

/** SIGTERM to the task, as ECS sends it; how long it took to go. */
const terminated = async (runner: RunningRunner): Promise<number> => {
  const atMs = systemClock.monotonicMs();
  runner.host.kill('SIGTERM');
  expect(await runner.exited).toBe(0);
  return systemClock.monotonicMs() - atMs;
};

describe('a store that never answers', () => {
  it(
    'does not keep a runner from going in time: nothing but the objects is lost, and that is told',
    async () => {
      const first = await start();
      writeFileSync(join(workspaceOf(first), 'kept.txt'), 'kept\n');
      await terminated(first);
      const kept = first.control.events.at(-1);
      expect(kept).toMatchObject({ type: 'epoch_drained', checkpointKey: expect.any(String) });

      const second = await start({ after: first });
      expect(readFileSync(join(workspaceOf(second), 'kept.txt'), 'utf8')).toBe('kept\n');
      second.control.hangPuts('lost');
      types(second, 'echo lost > lost.txt; echo one-$((1+1))\r');
      await prints(second, 'one-2');
      expect(await terminated(second)).toBeLessThan(DRAIN_MS);
      expect(second.control.hangingPuts.length).toBeGreaterThan(0);
      const { events, problems } = second.control;
      expect(problems).toEqual([]);
      // Whoever wants to see it again is told what is missing, to the last byte.
      const gap = events.findLast(({ type }) => type === 'stream_gap');
      const endOffset = Math.max(...events.map(({ offset }) => offset));
      expect(gap).toMatchObject({ fromOffset: 0, toOffset: endOffset });
      expect(events.find(({ type }) => type === 'usage_tick')).toBeDefined();
      expect(events.findLast(({ type }) => type === 'diff_summary')).toMatchObject({
        files: [{ path: 'kept.txt' }, { path: 'lost.txt' }],
      });
      expect(events.find(({ type }) => type === 'alert_raised')).toMatchObject({ code: 'checkpoint_failed' });
      expect(events.at(-1)).toMatchObject({ type: 'epoch_drained', checkpointKey: kept?.checkpointKey });
      expect(second.processesWith(`VILLAGE_STATE_DIR=${join(second.root, 'state-after')}`)).toEqual([]);

      const checkpoint = first.control.sessions[0]?.checkpoint((key) => second.control.url + key) ?? null;
      const third = await start({
        after: { ...second, checkpoint },
        env: { VILLAGE_STATE_DIR: join(second.root, 'state-third') },
      });
      expect(third.control.sessions[0]?.epoch).toBe(3);
      expect(readFileSync(join(workspaceOf(third), 'kept.txt'), 'utf8')).toBe('kept\n');
      types(third, 'echo two-$((2+2))\r');
      await prints(third, 'two-4');
      expect(third.control.problems).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

describe('a checkpoint that was stored when its runner crashed', () => {
  it(
    'has its number to itself: the next one is stored without an alert',
    async () => {
      // Parking makes one soon after it is asked for.
      const first = await start({ config: { parkAfterMs: 1_000 }, env: { USAGE_TICK_INTERVAL_MS: '30000' } });
      writeFileSync(join(workspaceOf(first), 'kept.txt'), 'kept\n');
      first.control.hangPuts('stored');
      first.control.ask('pause');
      const isCheckpoint = (path: string) => path.includes('/checkpoint/');
      const hanging = await first.control.until('the upload', () => first.control.hangingPuts.find(isCheckpoint));
      process.kill(first.runnerPid(), 'SIGKILL');
      first.control.hangPuts(null);
      expect(await first.exited).toBe(0);
      const { events, problems, objects } = first.control;
      expect(problems).toEqual([]);
      expect(events.filter(({ type }) => type === 'alert_raised')).toEqual([]);
      const named = events.findLast(({ type }) => type === 'workspace_checkpointed');
      expect(events.at(-1)).toMatchObject({ type: 'session_parked', checkpointKey: named?.checkpointKey });
      expect(named?.checkpointKey).not.toBe(hanging);
      expect([...objects.keys()].filter(isCheckpoint)).toEqual([hanging, named?.checkpointKey]);
    },
    TIMEOUT_MS,
  );
});
