import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { rememberToken, tasksOfToken } from '../../../../local/ecs/client-tokens.ts';
import { CLIENT_TOKEN_TTL_MS, STOPPED_TASK_VISIBLE_MS } from '../../../../local/ecs/ecs-limits.ts';
import { newTask } from '../../../../local/ecs/new-task.ts';
import { RunTask } from '../../../../local/ecs/requests.ts';
import { openTaskTable } from '../../../../local/ecs/task-table.ts';
import { type Clock, systemRandom } from '../../../../shared/clock.ts';

const PLACE = { arnPrefix: 'arn:aws:ecs:r:1', cluster: 'village' };
const REQUEST = RunTask.parse({ taskDefinition: 'runner', clientToken: 'a#1' });
const DEFINITION = {
  family: 'runner',
  containerDefinitions: [{ name: 'runner', essential: true, environment: [] }],
  taskDefinitionArn: 'arn:aws:ecs:r:1:task-definition/runner:1',
  revision: 1,
  status: 'ACTIVE' as const,
  registeredAt: 0,
};

/** A clock that stands still until moved. */
const handClock = () => {
  let nowMs = 1_000_000;
  const timers = new Set<{ atMs: number; run: () => void }>();
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  };
  const move = (ms: number) => {
    nowMs += ms;
    for (const timer of [...timers]) if (timer.atMs <= nowMs && timers.delete(timer)) timer.run();
  };
  return { clock, move };
};

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'village-task-table-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

it('forgets a stopped task after an hour, not before', async () => {
  const { clock, move } = handClock();
  const forgotten: string[] = [];
  const options = { dir, emit: () => {}, cleanUp: () => {}, clock, random: systemRandom, warn: () => {} };
  const table = openTaskTable({ ...options, forget: (id) => forgotten.push(id) });
  const task = newTask(REQUEST, DEFINITION, PLACE, 'one', clock.nowMs());
  table.add(task);
  table.markStopped(task, 'EssentialContainerExited', 'done', 0);
  move(STOPPED_TASK_VISIBLE_MS - 1);
  expect(table.find('one')?.lastStatus).toBe('STOPPED');
  move(1);
  expect(table.find('one')).toBeUndefined();
  expect(forgotten).toEqual(['one']);
  await table.save();
  const reopened = openTaskTable({ ...options, forget: () => {} });
  expect(reopened.all()).toEqual([]);
  reopened.close();
});

it('remembers a client token for a day', () => {
  const tokens: Parameters<typeof tasksOfToken>[0] = [];
  rememberToken(tokens, REQUEST, ['arn/one'], 5);
  expect(tasksOfToken(tokens, REQUEST, 5 + CLIENT_TOKEN_TTL_MS - 1)).toEqual(['arn/one']);
  expect(() => tasksOfToken(tokens, { ...REQUEST, count: 2 }, 6)).toThrow('other parameters');
  expect(tasksOfToken(tokens, REQUEST, 5 + CLIENT_TOKEN_TTL_MS)).toBeUndefined();
});
