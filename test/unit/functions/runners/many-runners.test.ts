/** A tenant whose machines come and go by the hundred: what is over must not stand in the way of what lives. */
import { describe, expect, test } from 'vitest';
import { assignmentKey, type Host, hostKey, readHost } from '../../../../functions/runners/host-store.ts';
import { registerRunner } from '../../../../functions/runners/register-runner.ts';
import { credentialKey } from '../../../../functions/runners/runner-credentials.ts';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { RegisterRunnerBody } from '../../../../shared/http.ts';
import {
  CONNECTION_TTL_MS,
  PAGE_MAX,
  RUNNER_AWAY_COUNTED_MS,
  RUNNER_REGISTRATION_TTL_MS,
  RUNNERS_DEAD_KEPT_MAX,
  RUNNERS_PER_TENANT_MAX,
} from '../../../../shared/limits.ts';
import { controlPlanePorts, startedSession, TENANT, type TestPorts, USER } from '../../../fakes/control-plane-ports.ts';
import { ownRunner } from '../../../fakes/own-runners.ts';

const register = (ports: TestPorts, group = 'lab', tenantId = TENANT) =>
  registerRunner(ports, { tenantId, userId: USER, idempotencyKey: undefined }, RegisterRunnerBody.parse({ group }));
const onLab = (ports: TestPorts) => startedSession(ports, { pool: 'lab' });
const idOf = (index: number) => `rnr-x${String(index).padStart(6, '0')}`;
const rowsOf = (ports: TestPorts, prefix: string) =>
  ports.db.all('runners').filter(({ sk }) => String(sk).startsWith(prefix));

/** Copies of a registration, each with its credential, as `over` says it stands. */
const fill = async (ports: TestPorts, count: number, over: (index: number) => Partial<Host>) => {
  const { runnerId } = await register(ports);
  const row = await ports.db.get('runners', hostKey({ tenantId: TENANT, runnerId }));
  for (let index = 1; index < count; index += 1) {
    const ref = { tenantId: TENANT, runnerId: idOf(index) };
    const item = { ...row, ...ref, ...hostKey(ref), ...over(index) };
    await ports.db.write({ kind: 'put', table: 'runners', item });
    const credential = {
      ...credentialKey({ kind: 'group', ...ref }),
      hash: 'h',
      previousHash: null,
      expiresAtMs: null,
    };
    await ports.db.write({ kind: 'put', table: 'runners', item: credential });
  }
};
const everySec = 9e9;
const revoked = (ports: TestPorts) => ({ isRevoked: true, lastSeenMs: ports.clock.nowMs(), expiresAtSec: everySec });
const away = (ports: TestPorts, sinceMs: number) => ({
  lastSeenMs: ports.clock.nowMs() - sinceMs,
  connectionId: 'gone',
  clis: { shell: '5.2' },
  expiresAtSec: everySec,
});
/** All pages, as whoever lists asks for them. */
const listed = async (ports: TestPorts, limit = PAGE_MAX) => {
  const runners: string[] = [];
  const sizes: number[] = [];
  let cursor: string | null = null;
  do {
    const page = await ports.runnerStore.list(TENANT, { limit, ...(cursor === null ? {} : { cursor }) });
    runners.push(...page.runners.map(({ runnerId }) => runnerId));
    sizes.push(page.runners.length);
    cursor = page.cursor;
  } while (cursor !== null);
  return { runners, sizes };
};

describe('thousands of dead runners', () => {
  test.each([
    ['revoked', revoked],
    ['never used, their tokens over', () => ({ registeredAtMs: 0, expiresAtSec: everySec })],
    ['silent for long', (ports: TestPorts) => away(ports, RUNNER_AWAY_COUNTED_MS)],
  ] as const)('%s: sessions are placed, the list is paged, and a runner can be registered', async (_why, over) => {
    const ports = controlPlanePorts();
    await fill(ports, 3_000, () => over(ports));
    const runner = await ownRunner(ports);
    await onLab(ports);
    expect(runner.assigned).toHaveLength(1);
    const { runners, sizes } = await listed(ports);
    expect(runners).toContain(runner.runnerId);
    expect(new Set(runners).size).toBe(runners.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(PAGE_MAX);
  });

  test('are forgotten beyond a number, the longest gone first, with their credentials', async () => {
    const ports = controlPlanePorts();
    const nowMs = ports.clock.nowMs();
    await fill(ports, RUNNERS_DEAD_KEPT_MAX + 4, (index) => away(ports, RUNNER_AWAY_COUNTED_MS + 10_000 - index));
    await register(ports);
    const left = rowsOf(ports, 'HOST#').map(({ runnerId }) => runnerId);
    expect([1, 2, 3, 4].map((index) => left.includes(idOf(index)))).toEqual([false, false, false, true]);
    expect(left).toHaveLength(RUNNERS_DEAD_KEPT_MAX + 2);
    expect(rowsOf(ports, 'CREDENTIAL')).toHaveLength(RUNNERS_DEAD_KEPT_MAX + 2);
    expect(await readHost(ports.db, { tenantId: TENANT, runnerId: idOf(4) }, nowMs)).not.toBeNull();
  });

  test('are kept where they hold a session, or came back in this moment', async () => {
    const ports = controlPlanePorts();
    await fill(ports, RUNNERS_DEAD_KEPT_MAX + 4, (index) => ({
      ...away(ports, RUNNER_AWAY_COUNTED_MS + 10_000 - index),
      live: index === 1 ? 1 : 0,
    }));
    const { transact } = ports.db;
    ports.db.transact = async (writes) => {
      const forgets = writes.some((write) => write.kind === 'delete' && write.key.sk === `HOST#${idOf(2)}`);
      if (forgets)
        await ports.db.write({
          kind: 'update',
          table: 'runners',
          key: hostKey({ tenantId: TENANT, runnerId: idOf(2) }),
          set: { lastSeenMs: ports.clock.nowMs() },
        });
      return transact.call(ports.db, writes);
    };
    await register(ports);
    const left = rowsOf(ports, 'HOST#').map(({ runnerId }) => runnerId);
    expect([1, 2, 3].map((index) => left.includes(idOf(index)))).toEqual([true, true, false]);
  });

  test('no rows that only a count was left of, and none that the table is about to forget', async () => {
    const ports = controlPlanePorts();
    await fill(ports, 700, () => ({ expiresAtSec: 1 }));
    await ports.db.write({ kind: 'put', table: 'runners', item: { pk: `T#${TENANT}`, sk: 'HOST#rnr-left', live: -1 } });
    await register(ports);
    expect((await listed(ports)).runners).toHaveLength(2);
    expect(rowsOf(ports, 'HOST#').length).toBeLessThan(700);
  });
});

describe('the number of runners', () => {
  test.each([
    ['connected', (ports: TestPorts) => away(ports, 0)],
    ['away for a moment', (ports: TestPorts) => away(ports, RUNNER_AWAY_COUNTED_MS - 1)],
    ['with a token that nobody used yet', () => ({})],
    ['away for long, but with a session', (ports: TestPorts) => ({ ...away(ports, 9e9), live: 1 })],
  ] as const)('that are %s has an end, and the refusal says what to do', async (_why, over) => {
    const ports = controlPlanePorts();
    await fill(ports, RUNNERS_PER_TENANT_MAX, () => over(ports));
    await expect(register(ports)).rejects.toMatchObject({
      code: 'limit_reached',
      message: expect.stringMatching(/village runners list.*village runners revoke <id>.*within an hour/),
    });
    await expect(register(ports, 'lab', 'other')).resolves.toBeDefined();
  });

  test('tokens that nobody used in time make room again', async () => {
    const ports = controlPlanePorts();
    await fill(ports, RUNNERS_PER_TENANT_MAX, () => ({}));
    ports.clock.advance(RUNNER_REGISTRATION_TTL_MS);
    await expect(register(ports)).resolves.toBeDefined();
  });
});

describe('the list', () => {
  test('has every runner once over its pages, with what each holds: own ones, then tasks', async () => {
    const ports = controlPlanePorts();
    const own = await Promise.all([1, 2, 3].map(() => ownRunner(ports, { maxSessions: 1 })));
    const held = await Promise.all(own.map(() => onLab(ports)));
    for (let task = 0; task < 2_100; task += 1)
      await ports.runnerStore.connected({
        tenantId: TENANT,
        sessionId: `ses_${String(task).padStart(26, '0')}`,
        epoch: 1,
        connectionId: `c${task}`,
        runnerId: `task-${task}`,
        runnerVersion: '1',
        buildId: 'b',
      });
    const first = await ports.runnerStore.list(TENANT, { limit: 2 });
    expect(first.runners.map(({ sessions }) => sessions.length)).toEqual([1, 1]);
    const { runners, sizes } = await listed(ports);
    expect(runners.slice(0, 3).sort()).toEqual(own.map(({ runnerId }) => runnerId).sort());
    expect(new Set(runners).size).toBe(2_103);
    expect(sizes[0]).toBe(PAGE_MAX);
    ports.clock.advance(CONNECTION_TTL_MS);
    expect((await listed(ports)).runners).toHaveLength(3);
    expect(held).toHaveLength(3);
  });
});

test('a group of which nothing but unused, outdated tokens is left is none', async () => {
  const ports = controlPlanePorts();
  await register(ports);
  expect(await onLab(ports)).toBeDefined();
  ports.clock.advance(RUNNER_REGISTRATION_TTL_MS);
  await expect(onLab(ports)).rejects.toMatchObject({
    code: 'no_such_pool',
    message: expect.stringContaining('village runners register --group lab'),
  });
});

test('a place that is given back after its runner was forgotten leaves a row that the table forgets', async () => {
  const ports = controlPlanePorts();
  const runner = await ownRunner(ports);
  await onLab(ports);
  const ref = { tenantId: TENANT, runnerId: runner.runnerId };
  await ports.db.write({ kind: 'delete', table: 'runners', key: hostKey(ref) });
  const [assign] = runner.assigned;
  if (assign === undefined) throw new Error('not assigned');
  const closing = { epoch: 1, asRead: null, cause: 'host_lost', reason: { code: 'x', message: 'x' } } as const;
  expect(await closeEpoch(ports, { tenantId: TENANT, sessionId: assign.sessionId }, closing)).toBe(true);
  expect(await ports.db.get('runners', assignmentKey(ref, assign.sessionId))).toBeNull();
  const rest = await ports.db.get('runners', hostKey(ref));
  expect(Number(rest?.expiresAtSec) * 1_000).toBeGreaterThan(ports.clock.nowMs());
  expect((await listed(ports)).runners).toEqual([]);
});
