/** The warm pool and customer-hosted runners in a real village, with the real runner process. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dieWithParent } from '../../local/dynamodb/die-with-parent.ts';
import { RunnerList, RunnerRegistered, SessionStarted } from '../../shared/http.ts';
import { SessionView } from '../../shared/session.ts';
import { ROOT, type TestVillage, testVillage, until } from '../fakes/village.ts';
import { databaseOf } from '../fakes/village-database.ts';

const START_MS = 90_000;
let village: TestVillage;
let hosts: { kill(): void; readonly exited: Promise<number | null> }[];
beforeEach(() => {
  village = testVillage();
  hosts = [];
});
afterEach(async () => {
  for (const host of hosts) {
    host.kill();
    await host.exited;
  }
  await village.close();
});

const view = async (sessionId: string): Promise<SessionView> =>
  SessionView.parse((await village.api('GET', `/api/sessions/${sessionId}`)).body);
const started = async (pool = 'hosted') => {
  const body = { provider: 'shell', repository: { url: village.repository('app') }, pool };
  const answer = await village.api('POST', '/api/sessions', body);
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
  return SessionStarted.parse(answer.body).session;
};
const inState = (sessionId: string, state: string, seen: () => string = village.taskLogs, epoch = 1) =>
  until(
    `${sessionId} to be ${state}`,
    async () => {
      const now = await view(sessionId);
      return now.state === state && now.epoch >= epoch ? now : undefined;
    },
    START_MS,
    seen,
  );

describe('npm start -- --warm 1', () => {
  it('keeps an idle runner ready, gives it the next session and puts another in its place', async () => {
    await village.start({ args: ['--warm', '1'] });
    const database = databaseOf(village);
    try {
      const rows = async (state: string) => {
        const shards = await Promise.all(
          [0, 1, 2, 3, 4, 5, 6, 7].map((shard) => database.items('runners', `WARM#${shard}`)),
        );
        return shards.flat().filter((row) => row.state === state);
      };
      const one = (state: string) =>
        until(`a runner that is ${state}`, async () => (await rows(state))[0], START_MS, village.taskLogs);
      const idle = await one('idle');
      const session = await started();
      expect(session.placement).toMatchObject({ kind: 'warm', runnerId: idle.runnerId, taskArn: idle.taskArn });
      await inState(session.sessionId, 'running');
      const next = await one('idle');
      expect(next.runnerId).not.toBe(idle.runnerId);
      expect((await village.api('POST', `/api/sessions/${session.sessionId}/stop`, {})).status).toBe(202);
      await inState(session.sessionId, 'completed');
      await until(
        'the runner to be forgotten',
        async () => ((await rows('ending')).length === 0 ? true : undefined),
        START_MS,
      );
      expect((await rows('claimed')).length).toBe(0);
    } finally {
      database.close();
    }
  }, 180_000);
});

/** Registers a runner with the command line and runs what it printed, in folders of its own. */
const ownRunner = async (name: string, maxSessions: number) => {
  const registered = RunnerRegistered.parse(
    await village.json('runners', 'register', '--group', 'lab', '--max-sessions', String(maxSessions), '--name', name),
  );
  const [npx, bin, ...args] = registered.command.split(' ');
  expect([npx, bin]).toEqual(['npx', 'village-runner']);
  const home = join(village.root, name);
  const run = () => {
    const argv = [join(ROOT, 'runner-image/src/host/main.ts'), ...args, '--workspace', home];
    const { command, args: wrapped, stdin } = dieWithParent(process.execPath, argv);
    const env = { PATH: process.env.PATH ?? '', HOME: home, LOG_LEVEL: 'info' };
    const child = spawn(command, wrapped, { cwd: village.root, env, stdio: [stdin, 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
    const host = { exited, kill: () => void child.kill('SIGKILL'), output: () => output };
    hosts.push(host);
    return host;
  };
  const host = run();
  await runnerIn(registered.runnerId, 'serving', host.output);
  return { runnerId: registered.runnerId, host, run };
};
const runnerOf = async (runnerId: string) => {
  const { runners } = RunnerList.parse((await village.api('GET', '/api/runners')).body);
  return runners.find((runner) => runner.runnerId === runnerId);
};
const runnerIn = (runnerId: string, state: string, seen: () => string) =>
  until(
    `${runnerId} to be ${state}`,
    async () => {
      const runner = await runnerOf(runnerId);
      return runner?.state === state ? runner : undefined;
    },
    START_MS,
    seen,
  );

describe('a group of two real runners', () => {
  it('holds four sessions; the fifth waits, and starts when one ends; drained and revoked ones give theirs to the other', async () => {
    await village.start();
    const one = await ownRunner('one', 2);
    const two = await ownRunner('two', 2);
    const logs = () => `${one.host.output()}\n---\n${two.host.output()}`;
    const sessions: SessionView[] = [];
    for (let count = 0; count < 5; count += 1) sessions.push(await started('lab'));
    const ids = sessions.map(({ sessionId }) => sessionId);
    const [first = '', , , , fifth = ''] = ids;
    for (const id of ids.slice(0, 4)) await inState(id, 'running', logs);
    expect(await view(fifth)).toMatchObject({ state: 'created', queuePosition: 1, placement: null });
    const held = await Promise.all([one, two].map(async ({ runnerId }) => (await runnerOf(runnerId))?.sessions.length));
    expect(held).toEqual([2, 2]);

    await village.json('sessions', 'stop', first);
    await inState(first, 'completed', logs);
    expect((await inState(fifth, 'running', logs)).placement).toMatchObject({ kind: 'group' });

    await village.json('runners', 'revoke', one.runnerId);
    expect(await one.host.exited).not.toBe(0);
    expect(await runnerOf(one.runnerId)).toMatchObject({ state: 'revoked', sessions: [] });
    const onTwo = (await runnerOf(two.runnerId))?.sessions ?? [];
    expect(onTwo).toHaveLength(2);
    for (const { sessionId } of onTwo) await village.json('sessions', 'stop', sessionId);
    const left = ids.slice(1).filter((id) => !onTwo.some(({ sessionId }) => sessionId === id));
    for (const id of left) {
      const again = await inState(id, 'running', logs, 2);
      expect(again.placement).toMatchObject({ kind: 'group', runnerId: two.runnerId });
    }

    await village.json('runners', 'drain', two.runnerId);
    expect(await two.host.exited).toBe(0);
    await runnerIn(two.runnerId, 'stopped', logs);
    for (const id of left) expect(await view(id)).toMatchObject({ placement: null });
    const anew = two.run();
    await runnerIn(two.runnerId, 'serving', anew.output);
    for (const id of left) await inState(id, 'running', anew.output, 3);
  }, 400_000);
});
