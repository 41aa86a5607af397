/**
 * Everybody who may close, end, raise or correct an epoch, at once and in any order, on both engines: exactly one of them wins each step,
 * and slot, ledger, log and epochs are right after it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Database, queryAll, type TableName } from '../../functions/database.ts';
import { closeEpoch } from '../../functions/sessions/close-epoch.ts';
import { continueSession } from '../../functions/sessions/continue-session.ts';
import { reap } from '../../functions/sessions/reap.ts';
import { headKey, type SessionRef, sessionPk } from '../../functions/sessions/session-store.ts';
import { setDesired } from '../../functions/sessions/set-desired.ts';
import { TaskStateChange, taskStateChanged } from '../../functions/sessions/task-stopped.ts';
import { ingestBatch } from '../../functions/streams/ingest-batch.ts';
import { eventsOf } from '../../functions/streams/segments.ts';
import type { EventDraft } from '../../shared/events.ts';
import { CONTINUE_BACKOFF_MAX_MS } from '../../shared/limits.ts';
import { isFinal } from '../../shared/session.ts';
import { addCounters, largerCounters, UsageCounters, ZERO_USAGE } from '../../shared/usage.ts';
import {
  batchOf,
  controlPlanePortsOn,
  seededRandom,
  startedSession,
  TENANT,
  USER,
} from '../fakes/control-plane-ports.ts';
import { DYNOXIDE_ENGINE, MEMORY_ENGINE } from './dynamodb/engines.ts';

const engines = [
  { ...MEMORY_ENGINE, seeds: 150 },
  { ...DYNOXIDE_ENGINE, seeds: 12 },
];

/** Each call waits for a few turns first, so that seeds give orders of their own. */
const jittered = (db: Database, next: () => number): Database => {
  const turns = async () => {
    for (let left = Math.floor(next() * 6); left > 0; left -= 1) await Promise.resolve();
  };
  return {
    get: (table, key) => turns().then(() => db.get(table, key)),
    query: (query) => turns().then(() => db.query(query)),
    write: (write) => turns().then(() => db.write(write)),
    transact: (writes) => turns().then(() => db.transact(writes)),
  };
};

const LADDER = ['created', 'preparing_workspace', 'starting_provider', 'running'] as const;
const toRunning: EventDraft[] = LADDER.slice(1).map((toState, index) => ({
  type: 'session_state_changed',
  fromState: LADDER[index] ?? 'created',
  toState,
  reason: null,
}));
const tick = (agentMs: number): EventDraft => ({
  type: 'usage_tick',
  counters: { ...ZERO_USAGE, agentMs, commands: 1 },
  final: true,
  cliVersion: '5.2',
  runnerBuild: 'r1',
  taskDefinition: 'td:1',
});
const drained: EventDraft = { type: 'epoch_drained', why: 'SIGTERM', checkpointKey: null };
const parked: EventDraft = { type: 'session_parked', checkpointKey: 'none' };
const completed: EventDraft = {
  type: 'session_state_changed',
  fromState: 'running',
  toState: 'completed',
  reason: null,
};
const lost = { cause: 'runner_lost', reason: { code: 'runner_lost', message: 'gone' } } as const;

type Ports = ReturnType<typeof controlPlanePortsOn<Database>>;

const check = async (db: Database, ports: Ports, ref: SessionRef) => {
  const record = await ports.sessions.record(ref);
  if (record === null) throw new Error('no session');
  const { head, meta } = record;
  const pk = sessionPk(ref);
  const all = (table: TableName, beginsWith: string, partition = pk) =>
    queryAll(db, { table, partition, sort: { beginsWith } }, 10_000);

  const epochs = await all('sessions', 'EPOCH#');
  expect(epochs.map(({ epoch }) => epoch)).toEqual(Array.from({ length: head.epoch }, (_, index) => index + 1));
  const open = epochs.filter(({ closedAtMs }) => closedAtMs === undefined).map(({ epoch }) => epoch);
  expect(open).toEqual(head.open ? [head.epoch] : []);

  const events = (await all('events', 'SEG#')).flatMap(eventsOf);
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
  expect(events.at(-1)?.seq).toBe(head.seq);
  expect(events.filter(({ type }) => type === 'session_ended').length).toBeLessThanOrEqual(1);
  expect(events.filter(({ type }) => type === 'session_resumed')).toHaveLength(head.epoch - 1);

  const slots = await all('tenants', 'SLOT#', `T#${ref.tenantId}`);
  const isLive = !isFinal(head.state);
  expect(slots.some(({ sk }) => sk === `SLOT#${ref.sessionId}`)).toBe(isLive);
  expect(meta.endedAt === null).toBe(isLive);
  expect(meta.isSuspended).toBe(isLive && !head.open);
  expect(meta.liveShard !== undefined).toBe(isLive);

  const rows = await all('usage', 'EPOCH#');
  const billedOf = (epoch: number): UsageCounters =>
    rows
      .filter((row) => row.epoch === epoch && row.kind !== 'model')
      .map((row) => UsageCounters.strip().parse(row))
      .reduce(largerCounters, ZERO_USAGE);
  const billed = epochs.map(({ epoch }) => billedOf(Number(epoch))).reduce(addCounters, ZERO_USAGE);
  expect(addCounters(meta.usageBefore, meta.usage)).toEqual(billed);
  for (const { epoch } of epochs) {
    const lostEvents = events.filter((event) => event.epoch === epoch && event.type === 'runner_lost').length;
    expect(rows.filter((row) => row.epoch === epoch && row.kind === 'close_out')).toHaveLength(lostEvents);
    expect(lostEvents).toBeLessThanOrEqual(1);
  }
  return { head, meta };
};

/** A running epoch, assigned a minute ago. */
const runEpoch = async (ports: Ports, ref: SessionRef, epoch: number): Promise<void> => {
  const set = { assignedAtMs: ports.clock.nowMs() };
  const conditions = [
    { attr: 'epoch', op: '=', value: epoch },
    { attr: 'open', op: '=', value: true },
    { attr: 'assignedAtMs', op: '=', value: null },
  ] as const;
  await ports.db.write({ kind: 'update', table: 'sessions', key: headKey(ref), set, conditions });
  ports.clock.advance(60_000);
  await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, tick(20_000)], epoch));
};

describe.each(engines)('on $name', ({ open, seeds }) => {
  let db: Database;
  let close = async () => {};
  beforeAll(async () => {
    ({ db, close } = await open());
  });
  afterAll(() => close());

  /** Ends it as well: slots are counted per tenant. */
  const finish = async (ports: Ports, ref: SessionRef) => {
    await setDesired(ports, ref, 'stop', USER);
    const { head } = await check(db, ports, ref);
    if (head.open) await closeEpoch(ports, ref, { epoch: head.epoch, asRead: null, ...lost });
    expect(isFinal((await check(db, ports, ref)).head.state)).toBe(true);
  };

  let ids = 0;
  const setUp = async (seed: number) => {
    const random = seededRandom(seed);
    const base = controlPlanePortsOn(jittered(db, random.next));
    const ports = { ...base, newId: () => String(++ids).padStart(26, '0') };
    const ref = await startedSession(ports);
    await runEpoch(ports, ref, 1);
    return { ports, ref, random };
  };

  test('two that continue a session raise one epoch, and launch one task', async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { ports, ref } = await setUp(seed);
      await ingestBatch(ports, ref, batchOf(ref, 5, [tick(30_000), drained]));
      const raised = await Promise.all(Array.from({ length: 4 }, () => continueSession(ports, ref)));
      expect(raised.filter((outcome) => outcome === 'raised')).toHaveLength(1);
      expect(ports.tasks.launched.map(({ clientToken }) => clientToken)).toEqual([
        `${ref.sessionId}#1`,
        `${ref.sessionId}#2`,
      ]);
      expect((await check(db, ports, ref)).head).toMatchObject({ epoch: 2, open: true, state: 'created' });
      await finish(ports, ref);
    }
  });

  test("a runner's last batch and those who think it is gone: one closing", async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { ports, ref, random } = await setUp(seed);
      const ends = [drained, parked, completed] as const;
      const end = ends[Math.floor(random.next() * ends.length)] ?? drained;
      const last = batchOf(ref, 5, [tick(40_000), end]);
      const head = await ports.sessions.head(ref);
      const stopped = TaskStateChange.parse({
        detail: {
          taskArn: `task/${ref.sessionId}#1`,
          lastStatus: 'STOPPED',
          startedBy: `${TENANT}/${ref.sessionId}/1`,
          version: 1,
        },
      });
      const [ack, closed, fact] = await Promise.all([
        ingestBatch(ports, ref, last),
        closeEpoch(ports, ref, { epoch: 1, asRead: head, ...lost }),
        taskStateChanged(ports, stopped),
        ingestBatch(ports, ref, last),
      ]);
      const won = [ack?.kind === 'ack', closed, fact === 'closed'].filter(Boolean);
      expect(won).toHaveLength(1);
      const { meta } = await check(db, ports, ref);
      /** Late or in time: what the runner counted is billed, once. */
      expect(meta.usageBefore).toMatchObject({ agentMs: 40_000, commands: 1 });
      await finish(ports, ref);
    }
  });

  test('two reapers close what is lost once', async () => {
    for (let seed = 1; seed <= Math.min(seeds, 20); seed += 1) {
      const { ports, ref } = await setUp(seed);
      ports.clock.advance(20 * 60_000);
      ports.tasks.status = async () => ({ kind: 'stopped', why: 'gone', exitCode: 1 });
      const onError = (_ref: unknown, error: unknown) => {
        throw error;
      };
      const runs = await Promise.all([reap({ ...ports, onError }), reap({ ...ports, onError })]);
      expect(runs.reduce((sum, { failed }) => sum + failed, 0)).toBe(0);
      expect((await check(db, ports, ref)).head.open).toBe(false);
      await finish(ports, ref);
    }
  });

  test('anything at once, and it still ends when it is asked to', async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const { ports, ref, random } = await setUp(seed);
      for (let round = 0; round < 4; round += 1) {
        const { epoch } = (await ports.sessions.head(ref)) ?? { epoch: 1 };
        const actors: (() => Promise<unknown>)[] = [
          () => ingestBatch(ports, ref, batchOf(ref, 5, [tick(50_000), drained], epoch)),
          () => ingestBatch(ports, ref, batchOf(ref, 5, [tick(50_000), parked], epoch)),
          () => ingestBatch(ports, ref, batchOf(ref, 7, [tick(55_000)], epoch)),
          () => closeEpoch(ports, ref, { epoch, asRead: null, ...lost }),
          () => closeEpoch(ports, ref, { epoch, asRead: null, ...lost, cause: 'host_lost' }),
          () => continueSession(ports, ref),
          () => continueSession(ports, ref),
          () => setDesired(ports, ref, 'pause', USER),
          () => setDesired(ports, ref, 'run', USER),
          () => runEpoch(ports, ref, epoch),
        ];
        const chosen = actors.filter(() => random.next() < 0.5);
        const outcomes = await Promise.allSettled(chosen.map((act) => act()));
        for (const outcome of outcomes)
          if (outcome.status === 'rejected') expect(['session_ended', 'conflict']).toContain(outcome.reason.code);
        await check(db, ports, ref);
        ports.clock.advance(CONTINUE_BACKOFF_MAX_MS);
      }
      const stops = await Promise.allSettled([
        setDesired(ports, ref, 'stop', USER),
        continueSession(ports, ref),
        setDesired(ports, ref, 'stop', USER),
      ]);
      expect(stops.filter(({ status }) => status === 'rejected')).toEqual([]);
      await finish(ports, ref);
    }
  });
});
