/** Lives of a village that runs sessions: killed, stopped, started again, two at once, or never begun; nothing may outlive it or be lost. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EventPage, SessionStarted } from '../../shared/http.ts';
import { isFinal, SessionView } from '../../shared/session.ts';
import { type TestVillage, testVillage, until, type VillageSetup } from '../fakes/village.ts';

let villages: TestVillage[] = [];
const make = (): TestVillage => {
  const village = testVillage();
  villages.push(village);
  return village;
};
afterEach(async () => {
  await Promise.all(villages.map((village) => village.close()));
  villages = [];
});

const startShell = async (village: TestVillage): Promise<string> => {
  const body = { provider: 'shell', repository: { url: village.repository('origin') } };
  return SessionStarted.parse((await village.api('POST', '/api/sessions', body)).body).sessionId;
};
const view = async (village: TestVillage, sessionId: string): Promise<SessionView> =>
  SessionView.parse((await village.api('GET', `/api/sessions/${sessionId}`)).body);
const inState = (village: TestVillage, sessionId: string, isWanted: (state: SessionView['state']) => boolean) =>
  until(
    `a state of ${sessionId}`,
    async () => {
      const seen = await view(village, sessionId);
      return isWanted(seen.state) ? seen : undefined;
    },
    60_000,
  );
/** Running again, in this epoch. */
const inEpoch = (village: TestVillage, sessionId: string, epoch: number) =>
  until(
    `${sessionId} to run in epoch ${epoch}`,
    async () => {
      const seen = await view(village, sessionId);
      return seen.epoch === epoch && seen.state === 'running' ? seen : undefined;
    },
    60_000,
  );
const running = (village: TestVillage, sessionId: string) =>
  inState(village, sessionId, (state) => state === 'running');
const eventsOf = async (village: TestVillage, sessionId: string) =>
  EventPage.parse((await village.api('GET', `/api/sessions/${sessionId}/events?limit=1000`)).body).events;
const allGone = (village: TestVillage) =>
  until(
    'the end of every process',
    () => (village.processes().length === 0 ? true : undefined),
    15_000,
    () => JSON.stringify(village.processes()),
  );
/** Node's own cache of compiled code may lie beside them. */
const taskFolders = (village: TestVillage): string[] =>
  readdirSync(join(village.root, 'tmp')).filter((name) => name.startsWith('village-'));
const kinds = (village: TestVillage): string[] =>
  ['dynoxide serve', 'pty-host/main.ts', 'runner-image/src/main.ts', '--noprofile --norc'].filter((part) =>
    village.processes().some(({ command }) => command.includes(part)),
  );

describe('a village with a session', () => {
  it('killed without a word: nothing outlives it, and the next one goes on with what was cut off', async () => {
    const village = make();
    const first = await village.start();
    const sessionId = await startShell(village);
    await running(village, sessionId);
    // A child of the shell that ignores hang-ups is the agent's way to outlive everything.
    await village.api('POST', `/api/sessions/${sessionId}/input`, {
      data: '(trap "" HUP TERM; exec setsid sleep 1000) & echo started-$((1+1))',
      submit: true,
    });
    await until('the child', () => village.processes().find(({ command }) => command === 'sleep 1000'));
    expect(kinds(village)).toHaveLength(4);
    const before = await eventsOf(village, sessionId);
    first.signal('SIGKILL');
    expect(await first.exited).toBe('SIGKILL');
    await allGone(village);

    // The next one knows every task of it as dead: what they ran goes on in its next epoch, from the state that was stored.
    await village.start();
    const after = await inEpoch(village, sessionId, 2);
    expect(after).toMatchObject({ state: 'running', parked: false, endedAt: null });
    const events = await eventsOf(village, sessionId);
    expect(events.slice(0, before.length)).toEqual(before);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    const [lost, resumed] = ['runner_lost', 'session_resumed'].map((type) =>
      events.find((event) => event.type === type),
    );
    expect(lost).toMatchObject({ epoch: 1, why: expect.stringContaining('restarted') });
    expect(resumed).toMatchObject({ epoch: 2, fromEpoch: 1 });
    expect(village.processes().find(({ command }) => command === 'sleep 1000')).toBeUndefined();
    await village.api('POST', `/api/sessions/${sessionId}/stop`);
    expect(await inState(village, sessionId, isFinal)).toMatchObject({ state: 'completed' });
    const next = await startShell(village);
    await running(village, next);
  });

  it('stopped by Ctrl-C: its sessions are stored, and go on with the next one', async () => {
    const village = make();
    const life = await village.start();
    const sessionId = await startShell(village);
    await running(village, sessionId);
    await village.api('POST', `/api/sessions/${sessionId}/input`, { data: 'echo kept > kept.txt', submit: true });
    const made = join(village.dataDir, 'runner', 'workspaces', sessionId, 'kept.txt');
    await until('the file', () => (existsSync(made) ? true : undefined));
    life.signal('SIGINT');
    expect(await life.exited).toBe(0);
    expect(life.output()).toContain('stopping');
    expect(life.output()).toContain('1 of 1 runners stopped in order; their sessions go on at the next start');
    expect(village.processes()).toEqual([]);
    expect(existsSync(join(village.dataDir, 'endpoint.json'))).toBe(false);
    expect(existsSync(join(village.dataDir, 'village.lock'))).toBe(false);
    expect(existsSync(join(village.dataDir, 'runner', 'workspaces'))).toBe(false);
    expect(taskFolders(village)).toEqual([]);

    // It was given back in order before the village went: terminal, diff, checkpoint and the runner's own last word. Nobody raised its
    // next epoch on a village that was going down.
    await village.start();
    expect(await inEpoch(village, sessionId, 2)).toMatchObject({ parked: false });
    const events = await eventsOf(village, sessionId);
    const types = events.map(({ type }) => type);
    expect(types).toEqual(
      expect.arrayContaining(['transcript_chunk_stored', 'diff_summary', 'workspace_checkpointed']),
    );
    expect(types).not.toContain('runner_lost');
    const [drained, resumed] = [types.indexOf('epoch_drained'), types.indexOf('session_resumed')];
    expect(drained).toBeGreaterThan(0);
    expect(resumed).toBe(drained + 1);
    expect(events[drained]?.rseq).toBeGreaterThan(0);
    await until('the file again', () => (existsSync(made) ? true : undefined));
    const { body } = await village.api('GET', `/api/sessions/${sessionId}/diff`);
    expect(JSON.stringify(body)).toContain('kept.txt');
  });

  it('runs beside another one that has its own data directory', async () => {
    const [one, other] = [make(), make()];
    await Promise.all([one.start(), other.start()]);
    expect(one.endpoint().url).not.toBe(other.endpoint().url);
    const [mine, theirs] = await Promise.all([startShell(one), startShell(other)]);
    await Promise.all([running(one, mine), running(other, theirs)]);
    expect((await one.api('GET', `/api/sessions/${theirs}`)).status).toBe(404);
    // Neither takes the other's word for who somebody is.
    expect((await one.api('GET', '/api/sessions', undefined, other.endpoint().token)).status).toBeGreaterThanOrEqual(
      401,
    );
    await one.close();
    await running(other, theirs);
  });
});

/** Code that runs before the village: what a machine lacks cannot be had otherwise on one that has it. */
const preload = (village: TestVillage, code: string): VillageSetup => {
  const file = join(village.root, 'preload.cjs');
  writeFileSync(file, code);
  return { env: { NODE_OPTIONS: `--require ${file}` } };
};

describe('a start that cannot be', () => {
  const refused = async (village: TestVillage, setup: VillageSetup): Promise<string> => {
    const life = village.launch(setup);
    expect(await life.exited).toBe(1);
    expect(village.processes()).toEqual([]);
    expect(existsSync(join(village.dataDir, 'endpoint.json'))).toBe(false);
    expect(existsSync(join(village.dataDir, 'village.lock'))).toBe(false);
    // Steps that were done say how long they took, indented; what is left for a person is one line.
    const lines = life
      .output()
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('  '));
    expect(lines).toHaveLength(1);
    return lines.join();
  };

  it('without dynoxide says what to name instead', async () => {
    const village = make();
    const hide = `
      const Module = require('node:module');
      const resolve = Module._resolveFilename;
      Module._resolveFilename = function (request, ...rest) {
        if (request.startsWith('@dynoxide/')) throw Object.assign(new Error('hidden'), { code: 'MODULE_NOT_FOUND' });
        return resolve.call(this, request, ...rest);
      };`;
    expect(await refused(village, preload(village, hide))).toContain('--dynamodb-endpoint');
  });

  it('on a Node that is too old says how to get the right one', async () => {
    const village = make();
    const age = "Object.defineProperty(process.versions, 'node', { value: '20.19.2' });";
    const line = await refused(village, preload(village, age));
    expect(line).toContain('20.19.2');
    expect(line).toContain('npm ci');
    expect(existsSync(village.dataDir)).toBe(false);
  });
});
