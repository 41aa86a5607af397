import { describe, expect, test } from 'vitest';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { headKey, metaKey } from '../../../../functions/sessions/session-store.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { ZERO_USAGE } from '../../../../shared/usage.ts';
import { batchOf, controlPlanePorts, startedSession } from '../../../fakes/control-plane-ports.ts';

const tick = (agentMs: number): EventDraft => ({
  type: 'usage_tick',
  counters: { ...ZERO_USAGE, agentMs },
  final: false,
  cliVersion: 'system',
  runnerBuild: 'r1',
  taskDefinition: 'td:1',
});
const message = { type: 'provider_message', role: 'assistant', text: 'x' } as const;
/** What META has to know. */
const renewed = (number: number): EventDraft => ({
  ...{ type: 'provider_started', provider: 'shell', pid: 1, isolation: 'shared_uid', cliVersion: `5.${number}` },
});

/** A session of which `times` reads are each overtaken by a batch: META is read before it, HEAD after it. */
const overtaken = async (times: number, draftOf: (number: number) => EventDraft = renewed) => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  const get = ports.db.get.bind(ports.db);
  let left = times;
  let rseq = 1;
  const overtakenGet: typeof get = async (table, key) => {
    if (key.sk !== 'HEAD' || left === 0) return get(table, key);
    left -= 1;
    rseq += 1;
    /** With the plain reads: only the reader under test is overtaken. */
    ports.db.get = get;
    await ingestBatch(ports, ref, batchOf(ref, rseq - 1, [draftOf(rseq)]));
    ports.db.get = overtakenGet;
    return get(table, key);
  };
  ports.db.get = overtakenGet;
  return { ports, ref };
};

describe('reading a session whole', () => {
  test.each([0, 1, 3])('meta and head are of the same moment when %i batches come in between', async (times) => {
    const { ports, ref } = await overtaken(times);
    const record = await ports.sessions.record(ref);
    expect([record?.meta.seq, record?.head.seq]).toEqual([times + 1, times + 1]);
  });

  test('one that is never still is the weather, not a torn record', async () => {
    const { ports, ref } = await overtaken(1_000);
    await expect(ports.sessions.record(ref)).rejects.toMatchObject({ code: 'throttled' });
  });

  test('batches that META need not know tear nothing: one read has what the last of them left', async () => {
    const { ports, ref } = await overtaken(1, () => message);
    const record = await ports.sessions.record(ref);
    expect([record?.meta.seq, record?.head.seq, record?.meta.offset]).toEqual([2, 2, 10]);
  });

  test('a closing that was overtaken by a batch is made on what stands there', async () => {
    const { ports, ref } = await overtaken(1);
    const reason = { code: 'runner_lost', message: 'gone' };
    expect(await closeEpoch(ports, ref, { epoch: 1, asRead: null, cause: 'runner_lost', reason })).toBe(true);
    expect((await ports.sessions.meta(ref))?.seq).toBe(3);
    expect(ports.db.all('usage')).toMatchObject([{ kind: 'close_out', seq: 3, rseq: 2 }]);
  });

  test('what an older version wrote, which knows no `metaSeq`, is whole; the next commits go on from there', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const commit = (rseq: number, draft: EventDraft) => ingestBatch(ports, ref, batchOf(ref, rseq, [draft]));
    /** The head knows more than META, then META is written whole. */
    await commit(1, tick(1_000));
    await commit(2, renewed(2));
    const before = await ports.db.get('sessions', headKey(ref));
    expect(before).toMatchObject({ seq: 3, metaSeq: 3 });
    const usage = { ...ZERO_USAGE, commands: 7 };
    await ports.db.transact([
      { kind: 'update', table: 'sessions', key: headKey(ref), set: { seq: 4 } },
      { kind: 'update', table: 'sessions', key: metaKey(ref), set: { seq: 4, usage } },
    ]);
    ports.sessions.remember(ref, null);
    expect(await ports.sessions.record(ref)).toMatchObject({
      meta: { seq: 4, usage },
      head: { seq: 4, metaSeq: 4 },
    });
    expect(await commit(3, message)).toMatchObject({ kind: 'ack' });
    expect(await ports.db.get('sessions', headKey(ref))).toMatchObject({ seq: 5, metaSeq: 4, usage });
    expect((await ports.sessions.record(ref))?.meta).toMatchObject({ seq: 5, usage });
  });

  test('one that never was is none', async () => {
    const ports = controlPlanePorts();
    expect(await ports.sessions.record({ tenantId: 'acme', sessionId: 'ses_none' })).toBeNull();
  });
});
