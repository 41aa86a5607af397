import { describe, expect, test } from 'vitest';
import { sha256Hex } from '../../../../functions/hash.ts';
import { checkHello } from '../../../../functions/runners/hello.ts';
import { registerRunner } from '../../../../functions/runners/register-runner.ts';
import { exchangeCredential } from '../../../../functions/runners/runner-credentials.ts';
import { PROTOCOL_VERSION } from '../../../../shared/frames.ts';
import { RegisterRunnerBody } from '../../../../shared/http.ts';
import {
  FRAME_MAX_BYTES,
  RUNNER_GONE_SHOWN_MS,
  RUNNER_REGISTRATION_TTL_MS,
  VIEWERS_PER_SESSION_MAX,
} from '../../../../shared/limits.ts';
import { nextRunnerCredential } from '../../../../shared/runner-credential.ts';
import { controlPlanePorts, startedSession, TENANT, type TestPorts, USER } from '../../../fakes/control-plane-ports.ts';
import { dialled, ownRunner, runnersOf, ScriptedRunner } from '../../../fakes/own-runners.ts';

const body = (over: Record<string, unknown> = {}) => RegisterRunnerBody.parse({ group: 'lab', ...over });
const register = (ports: TestPorts, over: Record<string, unknown> = {}, idempotencyKey?: string, tenantId = TENANT) =>
  registerRunner(ports, { tenantId, userId: USER, idempotencyKey }, body(over));
const onLab = (ports: TestPorts) => startedSession(ports, { pool: 'lab' });
const stateOf = async (ports: TestPorts, runnerId: string) =>
  (await runnersOf(ports)).find((runner) => runner.runnerId === runnerId)?.state;
const said = (text: string) => ({ type: 'provider_message', role: 'assistant', text }) as const;

describe('a registration', () => {
  test('gives one command with a token that works once, for an hour', async () => {
    const ports = controlPlanePorts();
    const registered = await register(ports, { maxSessions: 8, name: 'rack-3' });
    const { token, command, containerCommand, expiresAt, runnerId } = registered;
    expect(command).toBe(
      `npx village-runner --url https://village.test --token ${token} --max-sessions 8 --name rack-3`,
    );
    expect(containerCommand).toMatch(/^docker run --rm .* runner:test .*--token rr\.acme\./);
    expect(Date.parse(expiresAt) - ports.clock.nowMs()).toBe(RUNNER_REGISTRATION_TTL_MS);
    expect(await stateOf(ports, runnerId)).toBe('registered');
    await dialled(ports, token, 'c1');
    await expect(dialled(ports, token, 'c2').then((who) => who)).resolves.toMatchObject({ runnerId });
    const other = sha256Hex(nextRunnerCredential(token, 'c'.repeat(64)));
    expect(await exchangeCredential(ports, token, other)).toBeNull();
  });

  test('that is not used in time is refused, and forgotten a day later', async () => {
    const ports = controlPlanePorts();
    const { token, runnerId } = await register(ports);
    ports.clock.advance(RUNNER_REGISTRATION_TTL_MS);
    await expect(dialled(ports, token, 'c1')).rejects.toThrow('refused');
    expect(await stateOf(ports, runnerId)).toBe('registered');
    ports.clock.advance(RUNNER_GONE_SHOWN_MS);
    expect(await stateOf(ports, runnerId)).toBeUndefined();
  });

  test('repeated under its key is the same; another body under it is refused', async () => {
    const ports = controlPlanePorts();
    const [first, second] = await Promise.all([register(ports, {}, 'key'), register(ports, {}, 'key')]);
    expect(second).toEqual(first);
    await expect(register(ports, { group: 'other' }, 'key')).rejects.toMatchObject({ code: 'idempotency_mismatch' });
    expect(await runnersOf(ports)).toHaveLength(1);
  });

  test.each([{ group: 'hosted' }, { group: 'Lab' }, { maxSessions: 0 }, { maxSessions: 33 }, { name: '$(rm)' }])(
    '%j is refused',
    (over) => {
      expect(RegisterRunnerBody.safeParse({ group: 'lab', ...over }).success).toBe(false);
    },
  );
});

describe('the credential of a runner', () => {
  test('rotates with each dial and refuses a replay; it lives as long as its runner', async () => {
    const ports = controlPlanePorts();
    const { token } = await register(ports);
    const second = nextRunnerCredential(token, 'b'.repeat(64));
    const third = nextRunnerCredential(token, 'c'.repeat(64));
    expect(await exchangeCredential(ports, token, sha256Hex(second))).toMatchObject({ kind: 'group' });
    ports.clock.advance(30 * 24 * 60 * 60_000);
    expect(await exchangeCredential(ports, second, sha256Hex(third))).toMatchObject({ kind: 'group' });
    expect(await exchangeCredential(ports, second, sha256Hex(token))).toBeNull();
    expect(await exchangeCredential(ports, token, sha256Hex(second))).toBeNull();
  });

  test('of one tenant with the runner of another is none', async () => {
    const ports = controlPlanePorts();
    const { token } = await register(ports);
    const foreign = token.replace('rr.acme.', 'rr.other.');
    expect(await exchangeCredential(ports, foreign, 'a'.repeat(64))).toBeNull();
  });
});

describe('hello', () => {
  test.each([0, PROTOCOL_VERSION + 1])(
    'of protocol %i is refused with what to do, whatever else it says',
    (protocol) => {
      expect(() => checkHello({ type: 'hello', protocol, brandNew: true })).toThrow(
        /speaks protocol .* install the version/i,
      );
      expect(() => checkHello({ type: 'hello', protocol: PROTOCOL_VERSION })).not.toThrow();
      expect(() => checkHello('hello')).not.toThrow();
    },
  );

  test('reports what the list shows', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports, { maxSessions: 3, capacity: 16 });
    const ref = await onLab(ports);
    expect(await runnersOf(ports)).toMatchObject([
      {
        runnerId: runner.runnerId,
        kind: 'customer',
        state: 'serving',
        group: 'lab',
        capacity: 3,
        sessions: [{ sessionId: ref.sessionId, epoch: 1 }],
        runnerVersion: '0.1.0',
        protocol: 1,
        clis: { shell: '5.2' },
        isolation: 'shared_uid',
        lastSeenAt: new Date(ports.clock.nowMs()).toISOString(),
      },
    ]);
  });

  test('repeats each assignment until a batch shows that it was taken, and tells what is over', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    const [first, second] = [await onLab(ports), await onLab(ports)];
    const [one, two] = runner.assigned;
    if (one === undefined || two === undefined) throw new Error('not assigned');
    await runner.batch(one, 1, [said('x')]);
    const back = runner.again('back');
    const has = (ref: { sessionId: string }) => ({
      sessionId: ref.sessionId,
      epoch: 1,
      nextRseq: 2,
      head: 0,
      desiredRev: 0,
      viewersRev: 0,
    });
    const gone = 'ses_00000000000000000000000099';
    const welcome = await back.hello({ sessions: [has(first), has(second), has({ sessionId: gone })] });
    expect(back.assigned).toMatchObject([{ sessionId: second.sessionId }]);
    expect(welcome.sessions).toMatchObject([
      { sessionId: first.sessionId, open: true, ackedRseq: 1 },
      { sessionId: second.sessionId, open: true, ackedRseq: 0 },
      { sessionId: gone, open: false, desired: { desired: 'stop' } },
    ]);
    expect(await ports.runners.post(first, { type: 'ping', ts: 1 })).toBe(true);
    expect(ports.runnerSender.posted.at(-1)?.connectionId).toBe('back');
  });

  test('of an older dial changes nothing', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    const back = runner.again('back');
    await back.hello();
    expect((await runner.hello()).sessions).toEqual([]);
    await onLab(ports);
    expect([runner.assigned.length, back.assigned.length]).toEqual([0, 1]);
  });

  test('is answered in one frame, however many watch; longer lists come after it', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports, { maxSessions: 6 });
    for (let count = 0; count < 6; count += 1) {
      const ref = await onLab(ports);
      for (let viewer = 0; viewer < VIEWERS_PER_SESSION_MAX; viewer += 1)
        await ports.watchers.attach(
          ref,
          {
            viewerId: `viewer-${String(viewer).padStart(50, '0')}`,
            connectionId: `c${viewer}`,
            userId: USER,
            mode: 'watch',
            sinceMs: 1,
            device: '',
          },
          false,
        );
    }
    const back = runner.again('back');
    const welcome = await back.hello();
    expect(welcome.sessions).toHaveLength(6);
    expect(Buffer.byteLength(JSON.stringify(welcome))).toBeLessThan(FRAME_MAX_BYTES);
    const inside = welcome.sessions.filter(({ watchers }) => watchers.rev > 0);
    expect(inside.length + back.posted('viewers').length).toBe(6);
    expect(back.posted('viewers').every(({ viewers }) => viewers.length === VIEWERS_PER_SESSION_MAX)).toBe(true);
  });
});

describe('a frame', () => {
  test('speaks only of sessions that are assigned to its runner', async () => {
    const ports = controlPlanePorts();
    const [mine, other] = [await ownRunner(ports, { maxSessions: 1 }), await ownRunner(ports, { maxSessions: 1 })];
    await onLab(ports);
    await onLab(ports);
    const hosted = await startedSession(ports);
    const theirs = other.assigned[0];
    if (theirs === undefined) throw new Error('not assigned');
    await expect(mine.batch(theirs, 1, [said('x')])).rejects.toMatchObject({ code: 'forbidden' });
    const capability = await ports.signer.sign({ kind: 'capability', ...hosted, epoch: 1, expSec: 9e9 });
    const config = { ...theirs.config, ...hosted };
    await expect(mine.batch({ ...theirs, ...hosted, capability, config }, 1, [said('x')])).rejects.toMatchObject({
      code: 'forbidden',
    });
    const task = new ScriptedRunner(ports, { kind: 'session', ...hosted, epoch: 1, connectionId: 'task' });
    await expect(task.batch({ ...theirs }, 1, [said('x')])).rejects.toMatchObject({ code: 'forbidden' });
    expect(ports.db.all('events').filter(({ sk }) => String(sk).startsWith('SEG#'))).toHaveLength(3);
  });

  test('with a capability of the same runner in another tenant is refused', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    await onLab(ports);
    const [mine] = runner.assigned;
    if (mine === undefined) throw new Error('not assigned');
    const foreign = new ScriptedRunner(ports, {
      kind: 'group',
      tenantId: 'other',
      runnerId: runner.runnerId,
      connectionId: 'x',
    });
    await expect(foreign.batch(mine, 1, [said('x')])).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('that refuses the session closes the epoch; the session is not given back to who is full', async () => {
    const ports = controlPlanePorts();
    const runner = await ownRunner(ports);
    const ref = await onLab(ports);
    const [assign] = runner.assigned;
    if (assign === undefined) throw new Error('not assigned');
    const { sessionId, epoch, capability } = assign;
    await runner.send({
      type: 'assign_refused',
      sessionId,
      epoch,
      capability,
      reason: 'full',
      message: 'I hold 4 of 4.',
    });
    expect(await ports.sessions.meta(ref)).toMatchObject({ isSuspended: true, strikes: 0, placement: null });
    expect(await stateOf(ports, runner.runnerId)).toBe('draining');
    await runner.status(0);
    expect(await stateOf(ports, runner.runnerId)).toBe('serving');
  });
});
