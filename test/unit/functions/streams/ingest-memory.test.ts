import { describe, expect, test } from 'vitest';
import type { Database } from '../../../../functions/database.ts';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { raiseEpoch } from '../../../../functions/sessions/raise-epoch.ts';
import { headKey, sessionStore } from '../../../../functions/sessions/session-store.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { type Batch, type IngestResult, ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { COMMIT_MEMORY_MAX } from '../../../../shared/limits.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import { batchOf, controlPlanePorts, seededRandom, startedSession } from '../../../fakes/control-plane-ports.ts';

const state = (fromState: string, toState: string): EventDraft =>
  ({ type: 'session_state_changed', fromState, toState, reason: null }) as EventDraft;
const TO_RUNNING = [
  state('created', 'preparing_workspace'),
  state('preparing_workspace', 'starting_provider'),
  state('starting_provider', 'running'),
];
const message = (text: string): EventDraft => ({ type: 'provider_message', role: 'assistant', text });
const tick = (agentMs: number): EventDraft => ({
  ...{ type: 'usage_tick', counters: { ...ZERO_USAGE, agentMs }, final: false },
  ...{ cliVersion: '5.2', runnerBuild: 'r1', taskDefinition: 'td:1' },
});

/** One control plane of several processes, which either remember their commits or read before each of them. */
const world = async (processes: number, remembers: boolean) => {
  const ports = controlPlanePorts();
  const reads = { count: 0 };
  const { db: stored } = ports;
  const db: Database = {
    get: (...asked) => {
      reads.count += 1;
      return stored.get(...asked);
    },
    query: (query) => stored.query(query),
    write: (write) => stored.write(write),
    transact: (writes) => stored.transact(writes),
  };
  const ref = await startedSession(ports);
  const assign = async () => {
    await ports.db.write({
      ...{ kind: 'update', table: 'sessions', key: headKey(ref), set: { assignedAtMs: ports.clock.nowMs() } },
    });
  };
  const fresh = () => sessionStore(db, ports.clock);
  const stores = Array.from({ length: processes }, fresh);
  const ingest = (process: number, batch: Batch): Promise<IngestResult | null> =>
    ingestBatch({ db, clock: ports.clock, sessions: (remembers ? stores[process] : undefined) ?? fresh() }, ref, batch);
  return { ports, ref, reads, assign, ingest };
};
type World = Awaited<ReturnType<typeof world>>;

/** What a seed does to a session, the same whatever remembers: the answers, and all that stands in the tables afterwards. */
const play = async (seed: number, { ports, ref, assign, ingest }: World) => {
  const random = seededRandom(seed);
  const int = (below: number) => Math.floor(random.next() * below);
  const answers: unknown[] = [];
  const sent: Batch[] = [];
  let epoch = 1;
  let nextRseq = 1;
  await assign();
  const send = async (batch: Batch): Promise<void> => {
    const answer = await ingest(int(2), batch);
    answers.push([batch.epoch, batch.firstRseq, batch.events.length, answer]);
    if (answer?.kind !== 'ack' || batch.epoch !== epoch) return;
    nextRseq = Math.max(nextRseq, answer.ackedRseq + 1);
    sent.push(batch);
  };
  const head = async () => ports.sessions.head(ref);
  for (let step = 0; step < 60; step += 1) {
    await ports.clock.advance(int(20_000));
    const draw = random.next();
    const first = nextRseq === 1 ? TO_RUNNING : [message(`step ${step}`), tick(step * 1_000)];
    if (draw < 0.5) await send(batchOf(ref, nextRseq, first, epoch));
    else if (draw < 0.6) await send(sent[int(sent.length)] ?? batchOf(ref, nextRseq, first, epoch));
    else if (draw < 0.65) await send(batchOf(ref, nextRseq + 1, first, epoch));
    else if (draw < 0.7) await send(batchOf(ref, Math.max(1, nextRseq - 1), [message(`other ${step}`)], epoch));
    else if (draw < 0.75) await send(batchOf(ref, nextRseq, [], epoch));
    else if (draw < 0.82) answers.push((await setDesired(ports, ref, int(2) === 0 ? 'pause' : 'run', 'ada')).desired);
    else if (draw < 0.88)
      await send(batchOf(ref, nextRseq, [{ type: 'epoch_drained', why: 'drain', checkpointKey: null }], epoch));
    else if (draw < 0.94)
      answers.push(
        await closeEpoch(ports, ref, {
          ...{ epoch, asRead: null, cause: 'runner_lost' },
          reason: { code: 'runner_lost', message: 'gone' },
        }),
      );
    else {
      await setDesired(ports, ref, 'run', 'ada').catch(() => null);
      await ports.clock.advance(20 * 60_000);
      if (!(await raiseEpoch(ports, ref))) continue;
      if (int(3) > 0) await assign();
      epoch = (await head())?.epoch ?? epoch;
      nextRseq = 1;
    }
  }
  return { answers, sessions: ports.db.all('sessions'), events: ports.db.all('events'), usage: ports.db.all('usage') };
};

describe('what a process remembers of its commits', () => {
  test('never changes an answer or a row, whatever others did meanwhile', async () => {
    const kinds = new Set<string>();
    for (let seed = 1; seed <= 40; seed += 1) {
      const [reading, remembering] = [await world(2, false), await world(2, true)];
      const wanted = await play(seed, reading);
      const found = await play(seed, remembering);
      expect(found).toEqual(wanted);
      expect(remembering.reads.count).toBeLessThan(reading.reads.count);
      for (const match of JSON.stringify(found.answers).matchAll(/"(ack|gap|stale_epoch|closed|other_digest)"/g))
        kinds.add(match[1] ?? '');
    }
    expect([...kinds].sort()).toEqual(['ack', 'closed', 'gap', 'other_digest', 'stale_epoch']);
  });

  test('saves the reads of the next commit', async () => {
    const { ref, reads, assign, ingest } = await world(1, true);
    await assign();
    await ingest(0, batchOf(ref, 1, TO_RUNNING));
    const before = reads.count;
    expect(await ingest(0, batchOf(ref, 4, [message('next')]))).toMatchObject({ kind: 'ack', ackedRseq: 4 });
    expect(reads.count).toBe(before);
  });

  test('is not used before its runner is known, as billing begins there', async () => {
    const { ref, reads, assign, ingest, ports } = await world(1, true);
    await ingest(0, batchOf(ref, 1, TO_RUNNING));
    await assign();
    await ports.clock.advance(5_000);
    const before = reads.count;
    await ingest(0, batchOf(ref, 4, [tick(4_000)]));
    expect(reads.count).toBeGreaterThan(before);
    expect(ports.db.all('usage').map(({ agentMs }) => agentMs)).toEqual([4_000]);
  });

  test('is bounded: the session longest without a commit is forgotten first', async () => {
    const { ports, ref } = await world(1, true);
    const record = await ports.sessions.record(ref);
    const refOf = (number: number) => ({ ...ref, sessionId: `other-${number}` });
    for (let number = 0; number <= COMMIT_MEMORY_MAX; number += 1) ports.sessions.remember(refOf(number), record);
    expect(ports.sessions.remembered(refOf(0))).toBeNull();
    expect(ports.sessions.remembered(refOf(1))).toBe(record);
    ports.sessions.remember(refOf(1), null);
    expect(ports.sessions.remembered(refOf(1))).toBeNull();
  });
});
