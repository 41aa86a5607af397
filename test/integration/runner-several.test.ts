/** A runner that stays: several sessions on one line, each with its own life; crashes, cuts, drains and refusals included. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { WatcherList } from '../../shared/frames.ts';
import type { FakeSession } from '../fakes/control-session.ts';
import { type RunnerSetup, startRunner, startRunnerInProcess } from './runner-fixture.ts';

const VIEWER = 'viewer-1';
const led: WatcherList = {
  rev: 1,
  viewers: [{ viewerId: VIEWER, mode: 'control' }],
  controllerId: VIEWER,
  controlTerm: 1,
};
const GROUP: RunnerSetup = { kind: 'group', env: { MAX_CONCURRENT_SESSIONS: '3' } };

type InProcess = Awaited<ReturnType<typeof startRunnerInProcess>>;
type Real = Awaited<ReturnType<typeof startRunner>>;
type Started = Pick<InProcess | Real, 'control' | 'configOf' | 'root'>;
const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});
const start = async (setup: RunnerSetup = GROUP): Promise<InProcess> => {
  const started = await startRunnerInProcess(setup);
  cleanUps.push(() => started.stop());
  return started;
};
const startReal = async (setup: RunnerSetup = GROUP): Promise<Real> => {
  const started = await startRunner(setup);
  cleanUps.push(() => started.stop());
  return started;
};

const statesOf = (session: FakeSession) =>
  session.events.flatMap((event) => (event.type === 'session_state_changed' ? [event.toState] : []));
const inState = ({ control }: Started, session: FakeSession, state: string) =>
  control.until(`${session.sessionId} ${state}`, () => statesOf(session).includes(state));
const isUp = ({ control }: Started) =>
  control.until('hello', () => control.frames.find(({ type }) => type === 'hello'));
const run = async (started: Started, ...names: string[]): Promise<FakeSession[]> => {
  const sessions = names.map((name) => started.control.add(started.configOf(name)));
  for (const session of sessions) {
    await inState(started, session, 'running');
    session.setWatchers(led);
  }
  return sessions;
};
/** For what no frame tells. */
const soon = (look: () => void) => vi.waitFor(look, { timeout: 20_000, interval: 20 });
let typed = 0;
const type = (session: FakeSession, data: string) => {
  typed += 1;
  const viewerId = `api-${typed}`;
  session.options.post({
    ...{ type: 'input', sessionId: session.sessionId, epoch: session.epoch, viewerId },
    ...{ source: 'api', controlTerm: 0, inputSeq: typed, data, submit: false },
  });
  return viewerId;
};
/** As whoever types does it: what is refused because nothing runs yet is typed again. */
const insist = async ({ control }: Started, session: FakeSession, data: string) => {
  for (let isTaken = false; !isTaken; ) {
    const lane = type(session, data);
    const answer = await control.until(`an answer to ${data}`, () =>
      control.frames.find(
        (frame) => (frame.type === 'input_ack' || frame.type === 'input_reset') && frame.viewerId === lane,
      ),
    );
    isTaken = answer.type === 'input_ack';
  }
};
const shows = ({ control }: Started, session: FakeSession, text: string) =>
  control.until(`${session.sessionId} shows ${text}`, () => session.output().includes(text));
const foldersOf = ({ root }: Started) => {
  const folder = join(root, 'state', 'sessions');
  return existsSync(folder) ? readdirSync(folder) : [];
};
const isSound = (session: FakeSession) => {
  expect(session.events.map(({ rseq }) => rseq)).toEqual(session.events.map((_, index) => index + 1));
  // It ended here, or goes on elsewhere: said once, and last.
  const lasts = session.events.filter(({ type }) => type === 'session_ended' || type === 'epoch_drained');
  expect(lasts).toEqual(session.events.slice(-1));
};

describe('a runner of a group', () => {
  it('holds several sessions, keeps their streams apart, and takes the next one when one is over', async () => {
    const started = await start();
    await isUp(started);
    const sessions = await run(started, 'A', 'B', 'C');
    for (const [index, session] of sessions.entries()) type(session, `echo only-$((${index}+10))\r`);
    for (const [index, session] of sessions.entries()) await shows(started, session, `only-${index + 10}`);
    const [a, b, c] = sessions as [FakeSession, FakeSession, FakeSession];
    expect(a.output()).not.toContain('only-11');
    expect(started.health()).toMatchObject({ isReady: true, capacity: 3, isDraining: false });
    expect(started.health().sessions).toHaveLength(3);
    b.ask('stop');
    await inState(started, b, 'completed');
    await soon(() => expect(foldersOf(started)).not.toContain(b.sessionId));
    const [d] = await run(started, 'D');
    expect(statesOf(a).at(-1)).toBe('running');
    started.drain();
    expect(await started.exited).toBe(0);
    for (const session of [a, b, c, d as FakeSession]) isSound(session);
    expect(started.control.problems).toEqual([]);
    expect(started.workspaces()).toEqual([]);
    expect(foldersOf(started)).toEqual([]);
    // It may come back with its credential.
    expect(existsSync(join(started.root, 'state', 'dial.json'))).toBe(true);
  });

  it('refuses what it has no place for, and again; takes what is told twice once', async () => {
    const started = await start({ kind: 'group', env: { MAX_CONCURRENT_SESSIONS: '1' } });
    const { control } = started;
    await isUp(started);
    const [a] = (await run(started, 'A')) as [FakeSession];
    control.post(a.assign());
    const b = control.add(started.configOf('B'));
    const refusals = () =>
      control.frames.filter((frame) => frame.type === 'assign_refused' && frame.sessionId === b.sessionId);
    await control.until('refusal', () => refusals().length === 1);
    expect(refusals()[0]).toMatchObject({ epoch: 1, reason: 'full', capability: b.capability });
    a.ask('stop');
    await inState(started, a, 'completed');
    await soon(() => expect(foldersOf(started)).toEqual([]));
    control.post(b.assign());
    await control.until('second refusal', () => refusals().length === 2);
    const next = control.add(started.configOf('B'), 2);
    await inState(started, next, 'running');
    expect(b.events).toEqual([]);
    expect(control.problems).toEqual([]);
  });

  it('takes the next epoch of a session that it still holds, after the older one has gone', async () => {
    const started = await start();
    const { control } = started;
    await isUp(started);
    const [first] = (await run(started, 'A')) as [FakeSession];
    type(first, 'echo old > old.txt; export MARK=old\r');
    await control.until('file', () => first.events.find(({ type }) => type === 'file_touched'));
    first.isOpen = false;
    const second = control.add(started.configOf('A'), 2);
    await inState(started, second, 'running');
    second.setWatchers(led);
    type(second, 'echo new-$MARK-$(ls)\r');
    await shows(started, second, 'new--README.md');
    expect(started.health().sessions).toMatchObject([{ epoch: 2 }]);
    second.ask('stop');
    await inState(started, second, 'completed');
    isSound(second);
    expect(control.problems).toEqual([]);
  });

  it('finds an assignment that was lost at the next line, and goes on after cuts', async () => {
    const started = await start();
    const { control } = started;
    await isUp(started);
    const [a] = (await run(started, 'A')) as [FakeSession];
    control.loseAssigns(true);
    const b = control.add(started.configOf('B'));
    control.loseAssigns(false);
    for (let round = 1; round <= 3; round += 1) {
      control.swallowAcks(1);
      control.cut();
      await control.until('dial', () => new Set(control.dials).size > round);
      await inState(started, b, 'running');
      type(a, `echo a-$((${round}*7))\r`);
      type(b, `echo b-$((${round}*7))\r`);
      a.attach(VIEWER);
      await shows(started, a, `a-${round * 7}`);
    }
    started.drain();
    expect(await started.exited).toBe(0);
    for (const session of [a, b]) isSound(session);
    expect(control.problems).toEqual([]);
  });

  it('hands its sessions over between turns when it is asked to drain, takes no more, and goes', async () => {
    const started = await start();
    const { control } = started;
    await isUp(started);
    const [busy, idle] = (await run(started, 'A', 'B')) as [FakeSession, FakeSession];
    type(busy, 'while [ ! -e stop ]; do echo tick; sleep 0.2; done; echo over\r');
    await shows(started, busy, 'tick');
    control.askRunner('drain');
    await control.until('status', () =>
      control.frames.find((frame) => frame.type === 'runner_status' && frame.draining && frame.live === 2),
    );
    const refused = control.add(started.configOf('C'));
    await control.until('refusal', () =>
      control.frames.find((frame) => frame.type === 'assign_refused' && frame.reason === 'draining'),
    );
    await control.until('handed over', () => !idle.isOpen);
    expect(busy.isOpen).toBe(true);
    expect(refused.events).toEqual([]);
    type(busy, 'touch stop\r');
    busy.ask('stop');
    expect(await started.exited).toBe(0);
    expect(control.problems).toEqual([]);
  });

  it('serves on when the drain is taken back', async () => {
    const started = await start();
    const { control } = started;
    await isUp(started);
    const [a] = (await run(started, 'A')) as [FakeSession];
    type(a, 'while true; do echo tick; sleep 0.2; done\r');
    await shows(started, a, 'tick');
    control.askRunner('drain');
    await soon(() => expect(started.health().isDraining).toBe(true));
    control.askRunner('serve');
    await control.until('serving', () =>
      control.frames.some((frame) => frame.type === 'runner_status' && !frame.draining && frame.live === 1),
    );
    await run(started, 'B');
    expect(a.isOpen).toBe(true);
  });

  it('kills everything and forgets everything when it is revoked', async () => {
    const started = await start();
    const { control } = started;
    await isUp(started);
    const sessions = await run(started, 'A', 'B');
    control.revoke();
    expect(await started.exited).not.toBe(0);
    for (const session of sessions) expect(statesOf(session).at(-1)).toBe('running');
    expect(existsSync(join(started.root, 'state'))).toBe(false);
    expect(started.workspaces()).toEqual([]);
    expect(started.log()).toContain('The control plane refuses this runner (403)');
  });

  it('goes with the control plane’s words when its protocol is not spoken any more', async () => {
    const started = await start();
    const { control } = started;
    await isUp(started);
    control.refuseProtocol('This runner speaks protocol 1, 2 to 3 are taken: update it.');
    control.cut();
    expect(await started.exited).not.toBe(0);
    expect(started.log()).toContain('2 to 3 are taken: update it.');
  });

  it('goes on with all its sessions after a crash of the runner process', async () => {
    const started = await startReal();
    const { control } = started;
    await isUp(started);
    const [a, b] = (await run(started, 'A', 'B')) as [FakeSession, FakeSession];
    await insist(started, a, 'export MARK=alpha\r');
    await insist(started, b, 'export MARK=beta; sleep 0.3; echo while-$((1+1))-gone\r');
    const before = started.runnerPid();
    process.kill(before, 'SIGKILL');
    await control.until('dial', () => new Set(control.dials).size > 1);
    for (const session of [a, b]) session.attach(VIEWER);
    await insist(started, a, 'echo here-$MARK\r');
    await insist(started, b, 'echo here-$MARK\r');
    await shows(started, a, 'here-alpha');
    await shows(started, b, 'here-beta');
    expect(b.output()).toContain('while-2-gone');
    expect(started.runnerPid()).not.toBe(before);
    started.host.kill('SIGTERM');
    expect(await started.exited).toBe(0);
    for (const session of [a, b]) isSound(session);
    expect(control.problems).toEqual([]);
    expect(started.processesWith(started.root)).toEqual([]);
  });

  it('ends with 1, and is not started again, when it is revoked', async () => {
    const started = await startReal();
    await isUp(started);
    await run(started, 'A');
    started.control.revoke();
    expect(await started.exited).toBe(1);
    expect(started.log()).not.toContain('restart');
  });
});

describe('a warm runner', () => {
  it('waits ready, takes one session, and goes with it', async () => {
    const started = await start({ kind: 'warm' });
    const { control } = started;
    await isUp(started);
    expect(control.frames.find(({ type }) => type === 'hello')).toMatchObject({ capacity: 1, sessions: [] });
    await soon(() => expect(started.health().isReady).toBe(true));
    // Of the start that it rehearsed nothing is left, and nothing was told.
    // Of the start that it rehearsed nothing is left, and nothing was told.
    expect(readdirSync(join(started.root, 'state')).sort()).toEqual(['dial.json', 'removed']);
    expect([...new Set(control.frames.map(({ type: name }) => name))]).toEqual(['hello']);
    expect(started.log()).not.toContain('rehearsal');
    const [a] = (await run(started, 'A')) as [FakeSession];
    control.add(started.configOf('B'));
    await control.until('refusal', () => control.frames.find(({ type }) => type === 'assign_refused'));
    a.ask('stop');
    expect(await started.exited).toBe(0);
    isSound(a);
    expect(control.problems).toEqual([]);
    expect(existsSync(join(started.root, 'state'))).toBe(false);
  });

  it('goes at once when it is asked to drain before it was claimed', async () => {
    const started = await start({ kind: 'warm' });
    await isUp(started);
    started.control.askRunner('drain');
    expect(await started.exited).toBe(0);
  });
});
