import { describe, expect, test } from 'vitest';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { ANNEX_MAX_BATCHES } from '../../../../shared/limits.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import { batchOf, controlPlanePorts, startedSession, type TestPorts } from '../../../fakes/control-plane-ports.ts';

const state = (fromState: string, toState: string): EventDraft =>
  ({ type: 'session_state_changed', fromState, toState, reason: null }) as EventDraft;
const message = (text: string): EventDraft => ({ type: 'provider_message', role: 'assistant', text });
const tick = (agentMs: number, final = false): EventDraft => ({
  type: 'usage_tick',
  counters: { ...ZERO_USAGE, agentMs },
  final,
  cliVersion: '5.2',
  runnerBuild: 'r1',
  taskDefinition: 'td:1',
});
const toRunning = [
  state('created', 'preparing_workspace'),
  state('preparing_workspace', 'starting_provider'),
  state('starting_provider', 'running'),
];

const setUp = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  return { ports, ref };
};
const assigned = (ports: TestPorts, ref: { tenantId: string; sessionId: string }) =>
  ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: { pk: `T#${ref.tenantId}#S#${ref.sessionId}`, sk: 'HEAD' },
    set: { assignedAtMs: ports.clock.nowMs() },
  });

describe('ingest', () => {
  test('commits a batch as one segment with seq after what stands there', async () => {
    const { ports, ref } = await setUp();
    expect(await ingestBatch(ports, ref, batchOf(ref, 1, [message('a'), message('b')]))).toEqual({
      kind: 'ack',
      ackedRseq: 2,
      headSeq: 3,
    });
    const events = await readEvents(ports.db, ref, 1, 10);
    expect(events.map(({ seq, rseq, type }) => [seq, rseq, type])).toEqual([
      [1, 0, 'session_created'],
      [2, 1, 'provider_message'],
      [3, 2, 'provider_message'],
    ]);
  });

  test('answers a duplicate with the stored ackedRseq and writes nothing', async () => {
    const { ports, ref } = await setUp();
    const batch = batchOf(ref, 1, [message('a')]);
    await ingestBatch(ports, ref, batch);
    await ingestBatch(ports, ref, batchOf(ref, 2, [message('b')]));
    expect(await ingestBatch(ports, ref, batch)).toEqual({ kind: 'ack', ackedRseq: 2, headSeq: 3 });
    expect(ports.db.all('events')).toHaveLength(3);
  });

  test('parallel copies of one batch commit once', async () => {
    const { ports, ref } = await setUp();
    const batch = batchOf(ref, 1, [message('a')]);
    const answers = await Promise.all(Array.from({ length: 20 }, () => ingestBatch(ports, ref, batch)));
    expect(answers.every((answer) => answer?.kind === 'ack' && answer.ackedRseq === 1)).toBe(true);
    expect(ports.db.all('events')).toHaveLength(2);
  });

  test('quarantines another batch under the same number, and keeps the first', async () => {
    const { ports, ref } = await setUp();
    await ingestBatch(ports, ref, batchOf(ref, 1, [message('a')]));
    expect(await ingestBatch(ports, ref, batchOf(ref, 1, [message('forged')]))).toEqual({
      kind: 'nack',
      reason: 'other_digest',
      expected: 2,
    });
    expect(ports.db.all('events').filter((item) => String(item.sk).startsWith('QUARANTINE#'))).toHaveLength(1);
    expect(JSON.stringify(await readEvents(ports.db, ref, 1, 10))).not.toContain('forged');
  });

  test('a duplicate older than the head remembers is looked up in the segments', async () => {
    const { ports, ref } = await setUp();
    const first = batchOf(ref, 1, [message('a')]);
    await ingestBatch(ports, ref, first);
    for (let rseq = 2; rseq < 22; rseq += 1) await ingestBatch(ports, ref, batchOf(ref, rseq, [message('x')]));
    expect(await ingestBatch(ports, ref, first)).toMatchObject({ kind: 'ack', ackedRseq: 21 });
    expect(await ingestBatch(ports, ref, batchOf(ref, 1, [message('forged')]))).toMatchObject({
      kind: 'nack',
      reason: 'other_digest',
    });
  });

  test('refuses a gap, a foreign envelope, a wrong digest and a stale epoch', async () => {
    const { ports, ref } = await setUp();
    expect(await ingestBatch(ports, ref, batchOf(ref, 3, [message('a')]))).toEqual({
      kind: 'nack',
      reason: 'gap',
      expected: 1,
    });
    const foreign = batchOf({ ...ref, tenantId: 'other' }, 1, [message('a')]);
    expect(await ingestBatch(ports, ref, foreign)).toMatchObject({ reason: 'invalid' });
    expect(await ingestBatch(ports, ref, { ...batchOf(ref, 1, [message('a')]), digest: '0'.repeat(64) })).toMatchObject(
      { reason: 'invalid' },
    );
    expect(await ingestBatch(ports, ref, batchOf(ref, 1, [message('a')], 2))).toMatchObject({ reason: 'stale_epoch' });
    expect(ports.db.all('events')).toHaveLength(1);
  });

  test('moves the state along the table only: another transition is kept as rejected', async () => {
    const { ports, ref } = await setUp();
    await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, state('running', 'created')]));
    expect((await ports.sessions.meta(ref))?.state).toBe('running');
    expect((await readEvents(ports.db, ref, 5, 10)).map(({ type }) => type)).toEqual(['event_rejected']);
  });

  test('an event that does not fit its schema is stored opaquely and does not wedge the stream', async () => {
    const { ports, ref } = await setUp();
    const odd = batchOf(ref, 1, [
      { type: 'provider_message', role: 'nobody', text: 'x' } as unknown as EventDraft,
      message('next'),
    ]);
    expect(await ingestBatch(ports, ref, odd)).toMatchObject({ kind: 'ack', ackedRseq: 2 });
    expect((await readEvents(ports.db, ref, 2, 10)).map(({ type }) => type)).toEqual([
      'event_rejected',
      'provider_message',
    ]);
  });

  test('an empty batch keeps the lease and writes no event', async () => {
    const { ports, ref } = await setUp();
    ports.clock.advance(1_000_000);
    expect(await ingestBatch(ports, ref, batchOf(ref, 1, []))).toEqual({ kind: 'ack', ackedRseq: 0, headSeq: 1 });
    expect((await ports.sessions.head(ref))?.leaseUntilMs).toBe(ports.clock.nowMs() + 90_000);
    expect(ports.db.all('events')).toHaveLength(1);
  });

  test('never bills more than the platform saw', async () => {
    const { ports, ref } = await setUp();
    await assigned(ports, ref);
    ports.clock.advance(5_000);
    await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, tick(60_000)]));
    expect(ports.db.all('usage')).toMatchObject([
      { agentMs: 5_000, clampedMs: 55_000, kind: 'tick', rseq: 4, quarantined: false },
    ]);
  });

  test('a taken ledger key with other values is quarantined and ingest goes on', async () => {
    const { ports, ref } = await setUp();
    await assigned(ports, ref);
    ports.clock.advance(60_000);
    const batch = batchOf(ref, 1, [...toRunning, tick(1_000)]);
    await ports.db.write({
      kind: 'put',
      table: 'usage',
      item: { pk: `T#${ref.tenantId}#S#${ref.sessionId}`, sk: 'EPOCH#000001#000000004#tick', agentMs: 7 },
    });
    expect(await ingestBatch(ports, ref, batch)).toMatchObject({ kind: 'ack', ackedRseq: 4 });
    const rows = ports.db.all('usage');
    expect(rows.find((row) => row.sk === 'EPOCH#000001#000000004#tick')).toMatchObject({ agentMs: 7 });
    expect(rows.filter((row) => row.quarantined === true)).toHaveLength(1);
  });

  test('the final state closes the epoch, frees the slot and leaves the live index, once', async () => {
    const { ports, ref } = await setUp();
    await assigned(ports, ref);
    const end = batchOf(ref, 1, [
      ...toRunning,
      tick(0, true),
      state('running', 'completed'),
      { type: 'session_ended', state: 'completed', reason: null, durationMs: 1 },
    ]);
    await Promise.all([ingestBatch(ports, ref, end), ingestBatch(ports, ref, end)]);
    expect(await ports.sessions.head(ref)).toMatchObject({ open: false, state: 'completed' });
    const meta = await ports.sessions.meta(ref);
    expect(meta).toMatchObject({ state: 'completed' });
    expect(meta).not.toHaveProperty('liveShard');
    expect(ports.db.all('tenants').find((item) => item.sk === 'SLOTS')).toMatchObject({ live: 0 });
    expect(ports.db.all('tenants').filter((item) => String(item.sk).startsWith('SLOT#'))).toHaveLength(0);
  });

  test('a closed epoch keeps late events in the annex and tells the runner that it is over', async () => {
    const { ports, ref } = await setUp();
    await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, state('running', 'completed')]));
    expect(await ingestBatch(ports, ref, batchOf(ref, 5, [message('late')]))).toMatchObject({
      kind: 'nack',
      reason: 'closed',
    });
    expect(ports.db.all('events').filter((item) => String(item.sk).startsWith('ANNEX#'))).toHaveLength(1);
    expect((await ports.sessions.meta(ref))?.seq).toBe(5);
  });

  test('the last batch, sent again because its answer was lost, is a duplicate also after it closed the epoch', async () => {
    const { ports, ref } = await setUp();
    const last = batchOf(ref, 1, [...toRunning, state('running', 'completed')]);
    await ingestBatch(ports, ref, last);
    expect(await ingestBatch(ports, ref, last)).toEqual({ kind: 'ack', ackedRseq: 4, headSeq: 5 });
    expect(ports.db.all('events')).toHaveLength(2);
  });

  test('the annex of an epoch has an end', async () => {
    const { ports, ref } = await setUp();
    await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, state('running', 'completed')]));
    const epochKey = { pk: `T#${ref.tenantId}#S#${ref.sessionId}`, sk: 'EPOCH#000001' };
    await ports.db.write({
      kind: 'update',
      table: 'sessions',
      key: epochKey,
      add: { annexBatches: ANNEX_MAX_BATCHES - 1 },
    });
    for (const rseq of [5, 6, 7]) await ingestBatch(ports, ref, batchOf(ref, rseq, [message('late')]));
    expect(ports.db.all('events').filter((item) => String(item.sk).startsWith('ANNEX#'))).toHaveLength(1);
  });

  test('another batch under the number of an annexed one is quarantined, a repeat of it is not', async () => {
    const { ports, ref } = await setUp();
    await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, state('running', 'completed')]));
    const late = batchOf(ref, 5, [message('late')]);
    const over = { kind: 'nack', reason: 'closed', expected: 6 };
    expect(await ingestBatch(ports, ref, late)).toEqual(over);
    expect(await ingestBatch(ports, ref, late)).toEqual(over);
    const forged = batchOf(ref, 5, [message('forged')]);
    for (let times = 0; times < 2; times += 1)
      expect(await ingestBatch(ports, ref, forged)).toEqual({ kind: 'nack', reason: 'other_digest', expected: 5 });
    const kept = ports.db.all('events').map((item) => String(item.sk).split('#')[0]);
    expect(kept).toEqual(['SEG', 'SEG', 'ANNEX', 'QUARANTINE']);
    expect(ports.db.all('sessions').find((item) => item.sk === 'EPOCH#000001')).toMatchObject({ annexBatches: 2 });
  });

  test('what a full annex refuses is not settled; what it has still is', async () => {
    const { ports, ref } = await setUp();
    await ingestBatch(ports, ref, batchOf(ref, 1, [...toRunning, state('running', 'completed')]));
    const late = batchOf(ref, 5, [message('late')]);
    await ingestBatch(ports, ref, late);
    await ports.db.write({
      kind: 'update',
      table: 'sessions',
      key: { pk: `T#${ref.tenantId}#S#${ref.sessionId}`, sk: 'EPOCH#000001' },
      set: { annexBatches: ANNEX_MAX_BATCHES },
    });
    const refused = batchOf(ref, 6, [message('too much')]);
    expect(await ingestBatch(ports, ref, refused)).toEqual({ kind: 'nack', reason: 'closed', expected: 6 });
    expect(await ingestBatch(ports, ref, late)).toEqual({ kind: 'nack', reason: 'closed', expected: 6 });
    expect(ports.db.all('events').filter((item) => String(item.sk).startsWith('ANNEX#'))).toHaveLength(1);
  });

  test('what is set aside of an open epoch has an end too', async () => {
    const { ports, ref } = await setUp();
    await ingestBatch(ports, ref, batchOf(ref, 1, [message('a')]));
    await ports.db.write({
      kind: 'update',
      table: 'sessions',
      key: { pk: `T#${ref.tenantId}#S#${ref.sessionId}`, sk: 'EPOCH#000001' },
      set: { annexBatches: ANNEX_MAX_BATCHES - 1 },
    });
    for (const text of ['b', 'b', 'c', 'd'])
      expect(await ingestBatch(ports, ref, batchOf(ref, 1, [message(text)]))).toMatchObject({ reason: 'other_digest' });
    expect(ports.db.all('events').filter((item) => String(item.sk).startsWith('QUARANTINE#'))).toHaveLength(1);
  });

  test('a repeated chunk in one batch does not cancel the transaction', async () => {
    const { ports, ref } = await setUp();
    const chunk: EventDraft = {
      type: 'transcript_chunk_stored',
      number: 0,
      firstOffset: 0,
      endOffset: 5,
      key: 'tenants/other/steal',
      sizeBytes: 9,
      sha256: 'a',
    };
    expect(await ingestBatch(ports, ref, batchOf(ref, 1, [chunk, chunk]))).toMatchObject({ kind: 'ack', ackedRseq: 2 });
    const stored = ports.db.all('sessions').find((item) => String(item.sk).startsWith('CHUNK#'));
    expect(stored?.key).toBe(`tenants/${ref.tenantId}/sessions/${ref.sessionId}/transcript/000001/000000.json.gz`);
  });
});
