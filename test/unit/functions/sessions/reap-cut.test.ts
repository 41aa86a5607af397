/** Runs of the reaper that meet a slow table: each ends before its time does, and none of the sessions waits for ever. */
import { expect, test } from 'vitest';
import { type ReapCuts, reap } from '../../../../functions/sessions/reap.ts';
import { headKey, metaKey, type SessionRef, sessionPk } from '../../../../functions/sessions/session-store.ts';
import { REAPER_AT_ONCE, REAPER_PAGE_MAX, REAPER_RUN_MS } from '../../../../shared/limits.ts';
import { controlPlanePorts, startedSession } from '../../../fakes/control-plane-ports.ts';
import { onError } from './epochs-support.ts';

const HELD = REAPER_PAGE_MAX + 30;
/** Looks of one run: less than a page. */
const LOOKS = 40;

/** Sessions of one shard whose runners hold their leases, and one behind them whose runner is gone; each look at a head takes its time. */
const slowShard = async () => {
  const ports = controlPlanePorts();
  const startMs = ports.clock.nowMs();
  const update = (key: { pk: string; sk: string }, set: Record<string, unknown>) =>
    ports.db.write({ kind: 'update', table: 'sessions', key, set });
  const add = async (index: number, leaseMs: number): Promise<SessionRef> => {
    const ref = await startedSession(ports);
    await update(metaKey(ref), { liveShard: 'LIVE#3', nextCheckAtMs: startMs + index });
    await update(headKey(ref), { assignedAtMs: startMs, leaseUntilMs: startMs + leaseMs });
    return ref;
  };
  const held: SessionRef[] = [];
  for (let index = 0; index < HELD; index += 1) held.push(await add(index, 1_000 * REAPER_RUN_MS));
  const lost = await add(HELD, HELD);
  ports.clock.advance(REAPER_RUN_MS);
  ports.tasks.nextStatus = { kind: 'stopped', why: 'gone', exitCode: 1 };
  const looks: string[] = [];
  let isSlow = true;
  const head = async (ref: SessionRef) => {
    looks.push(sessionPk(ref));
    if (isSlow) ports.clock.advance(REAPER_RUN_MS / LOOKS);
    return ports.sessions.head(ref);
  };
  const my = { ...ports, sessions: { ...ports.sessions, head }, onError };
  const fast = () => {
    isSlow = false;
  };
  return { my, held, lost, looks, fast, ports };
};

test('a run that was cut is taken on by the next where it ended, until the shard was walked once', async () => {
  const { my, held, lost, looks, ports } = await slowShard();
  const cuts: ReapCuts = new Map();
  const runs = Math.ceil((HELD + 1) / LOOKS);
  for (let run = 1; run <= runs; run += 1) {
    const { closed } = await reap(my, cuts);
    expect(closed, `run ${run}`).toBe(run === runs ? 1 : 0);
    expect(cuts.size, `run ${run}`).toBe(run === runs ? 0 : 1);
  }
  expect((await ports.sessions.head(lost))?.open).toBe(false);
  const once = [...held, lost].map(sessionPk).sort();
  expect([...looks].sort()).toEqual(once);
  looks.length = 0;
  await reap(my, cuts);
  expect(looks[0]).toBe(sessionPk(held[0] ?? lost));
});

test('what leaves the page meanwhile makes nobody behind it wait for another round', async () => {
  const { my, held, looks, fast, ports } = await slowShard();
  const cuts: ReapCuts = new Map();
  await reap(my, cuts);
  const [left, ...stay] = looks.splice(0);
  const ref = held.find((one) => sessionPk(one) === left);
  if (ref === undefined) throw new Error('nothing was looked at');
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    remove: ['liveShard', 'nextCheckAtMs'],
  });
  fast();
  await reap(my, cuts);
  expect(looks).toHaveLength(HELD + 1 - stay.length - 1);
  expect(looks.filter((one) => stay.includes(one))).toEqual([]);
});

test('a run that fails begins at the front again, and a process that is new does, too', async () => {
  const { my, looks, held } = await slowShard();
  const cuts: ReapCuts = new Map();
  await reap(my, cuts);
  expect(looks.length % REAPER_AT_ONCE).toBe(0);
  const due = () => Promise.reject(new Error('no such cursor'));
  await expect(reap({ ...my, sessions: { ...my.sessions, due } }, cuts)).rejects.toThrow('no such cursor');
  looks.length = 0;
  await reap(my, cuts);
  await reap(my);
  const [first] = held;
  expect(looks.filter((one) => first !== undefined && one === sessionPk(first))).toHaveLength(2);
});
