import { describe, expect, test } from 'vitest';
import { sha256Hex } from '../../../../functions/hash.ts';
import { correctedCounters } from '../../../../functions/metering/usage-rows.ts';
import { closeEpoch } from '../../../../functions/sessions/close-epoch.ts';
import { continueSession } from '../../../../functions/sessions/continue-session.ts';
import { headKey, type SessionRef, viewOf } from '../../../../functions/sessions/session-store.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { listChunks } from '../../../../functions/streams/chunks.ts';
import { type Batch, ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import { batchDigestInput } from '../../../../shared/batch.ts';
import type { EventDraft } from '../../../../shared/events.ts';
import { UsageRow, ZERO_USAGE } from '../../../../shared/usage.ts';
import {
  batchOf,
  controlPlanePorts,
  startedSession,
  type TestPorts,
  USER,
} from '../../../fakes/control-plane-ports.ts';

const MINUTE = 60_000;
const lost = { asRead: null, cause: 'host_lost', reason: { code: 'runner_lost', message: 'gone' } } as const;
const tick = (over: Partial<typeof ZERO_USAGE>): EventDraft => ({
  type: 'usage_tick',
  counters: { ...ZERO_USAGE, ...over },
  final: false,
  cliVersion: '5.2',
  runnerBuild: 'r1',
  taskDefinition: 'td:1',
});
const chunk = (number: number, firstOffset = 0): EventDraft => ({
  type: 'transcript_chunk_stored',
  number,
  firstOffset,
  endOffset: firstOffset + 10,
  key: 'anything',
  sizeBytes: 9,
  sha256: 'a'.repeat(64),
});
const model: EventDraft = {
  type: 'model_usage',
  model: 'some-model',
  tokens: { inputTokens: 3, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 },
  messageId: 'm1',
  label: 'metered',
};
const message: EventDraft = { type: 'provider_message', role: 'assistant', text: 'late' };

/** Assigned, one tick after a minute, closed by the control plane a minute later. */
const closedSession = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  const set = { assignedAtMs: ports.clock.nowMs() };
  await ports.db.write({ kind: 'update', table: 'sessions', key: headKey(ref), set });
  ports.clock.advance(MINUTE);
  await ingestBatch(ports, ref, batchOf(ref, 1, [tick({ agentMs: 50_000, commands: 1 }), chunk(0)]));
  ports.clock.advance(MINUTE);
  await closeEpoch(ports, ref, { epoch: 1, ...lost });
  return { ports, ref };
};
const rows = (ports: TestPorts) => ports.db.all('usage').map((row) => UsageRow.loose().parse(row));
const usageOf = async (ports: TestPorts, ref: SessionRef) => {
  const meta = await ports.sessions.meta(ref);
  if (meta === null) throw new Error('no session');
  return viewOf(meta).usage;
};

/** The same events with other borders. */
const part = (batch: Batch, firstRseq: number, lastRseq: number): Batch => {
  const events = batch.events.filter(({ rseq }) => rseq >= firstRseq && rseq <= lastRseq);
  const identity = { sessionId: batch.sessionId, epoch: batch.epoch, firstRseq, events };
  return { ...identity, digest: sha256Hex(batchDigestInput(identity)) };
};
/** Numbers of what is kept beside the log, as often as it is. */
const annexed = (ports: TestPorts): number[] =>
  ports.db
    .all('events')
    .filter(({ sk }) => String(sk).startsWith('ANNEX#'))
    .flatMap(({ events }) => (JSON.parse(String(events)) as { rseq: number }[]).map(({ rseq }) => rseq));

describe('late usage of a closed epoch', () => {
  test('a longer batch of the same journal that is overtaken by a shorter one is kept beside it, and is no forgery', async () => {
    const { ports, ref } = await closedSession();
    const long = batchOf(ref, 3, [message, model]);
    const transact = ports.db.transact.bind(ports.db);
    ports.db.transact = async (writes) => {
      const [put] = writes;
      if (put?.kind !== 'put' || put.table !== 'events') return transact(writes);
      ports.db.transact = transact;
      await ingestBatch(ports, ref, part(long, 3, 3));
      return transact(writes);
    };
    expect(await ingestBatch(ports, ref, long)).toMatchObject({ kind: 'nack', reason: 'closed', expected: 5 });
    expect(annexed(ports)).toEqual([3, 4]);
    expect(ports.db.all('events').filter(({ sk }) => String(sk).startsWith('QUARANTINE#'))).toEqual([]);
  });

  test('corrects the ledger by a new row, within what the platform saw until the closing', async () => {
    const { ports, ref } = await closedSession();
    ports.clock.advance(60 * MINUTE);
    const late = batchOf(ref, 3, [tick({ agentMs: 90_000, commands: 2 }), tick({ agentMs: 400_000, commands: 5 })]);
    expect(await ingestBatch(ports, ref, late)).toEqual({ kind: 'nack', reason: 'closed', expected: 5 });
    expect(rows(ports).map(({ kind, source, rseq, agentMs }) => [kind, source, rseq, agentMs])).toEqual([
      ['tick', 'metered', 1, 50_000],
      ['close_out', 'reaper', 3, 50_000],
      ['correction', 'correction', 4, 2 * MINUTE],
    ]);
    expect(rows(ports)[2]).toMatchObject({ clampedMs: 400_000 - 2 * MINUTE, commands: 5 });
    expect(await usageOf(ports, ref)).toMatchObject({ agentMs: 2 * MINUTE, commands: 5 });
  });

  test('a batch that comes again corrects once, also when both come at once', async () => {
    const { ports, ref } = await closedSession();
    const late = batchOf(ref, 3, [tick({ agentMs: 80_000, commands: 2 }), model]);
    const answers = await Promise.all(Array.from({ length: 8 }, () => ingestBatch(ports, ref, late)));
    for (const answer of answers) expect(answer).toEqual({ kind: 'nack', reason: 'closed', expected: 5 });
    expect(rows(ports).filter(({ source }) => source === 'correction')).toHaveLength(2);
    expect(await usageOf(ports, ref)).toMatchObject({ agentMs: 80_000, commands: 2 });
  });

  test('an older tick than the one that was billed corrects nothing', async () => {
    const { ports, ref } = await closedSession();
    await ingestBatch(ports, ref, batchOf(ref, 3, [tick({ agentMs: 40_000 })]));
    expect(rows(ports).map(({ kind }) => kind)).toEqual(['tick', 'close_out']);
    expect(await usageOf(ports, ref)).toMatchObject({ agentMs: 50_000, commands: 1 });
  });

  test('what comes while the next epoch runs is added to the sum, and both count', async () => {
    const { ports, ref } = await closedSession();
    await continueSession(ports, ref);
    const set = { assignedAtMs: ports.clock.nowMs() };
    await ports.db.write({ kind: 'update', table: 'sessions', key: headKey(ref), set });
    ports.clock.advance(MINUTE);
    const end = batchOf(
      ref,
      1,
      [tick({ agentMs: 30_000 }), { type: 'epoch_drained', why: 'w', checkpointKey: null }],
      2,
    );
    const late = batchOf(ref, 3, [tick({ agentMs: 70_000, commands: 3 })]);
    const [ack, nack] = await Promise.all([ingestBatch(ports, ref, end), ingestBatch(ports, ref, late)]);
    expect(ack).toMatchObject({ kind: 'ack' });
    expect(nack).toEqual({ kind: 'nack', reason: 'stale_epoch', expected: 4 });
    expect(await usageOf(ports, ref)).toMatchObject({ agentMs: 100_000, commands: 3 });
    expect(await ports.sessions.meta(ref)).toMatchObject({ usage: ZERO_USAGE, usageRev: 3 });
  });

  test('of a session that is over, too', async () => {
    const { ports, ref } = await closedSession();
    await setDesired(ports, ref, 'stop', USER);
    await ingestBatch(ports, ref, batchOf(ref, 3, [tick({ agentMs: 70_000 })]));
    expect(await usageOf(ports, ref)).toMatchObject({ agentMs: 70_000 });
    expect((await ports.sessions.meta(ref))?.state).toBe('completed');
  });

  test('an epoch without a runner in it is billed nothing, whatever it says', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    ports.clock.advance(MINUTE);
    await closeEpoch(ports, ref, { epoch: 1, ...lost });
    await ingestBatch(ports, ref, batchOf(ref, 1, [tick({ agentMs: 5_000 })]));
    expect(await usageOf(ports, ref)).toMatchObject({ agentMs: 0 });
  });

  test.each([
    ['a later tick', { agentMs: 40 }, { agentMs: 60 }, { agentMs: 60 }],
    ['beyond what was seen', { agentMs: 40 }, { agentMs: 500 }, { agentMs: 100 }],
    ['waiting time told as work', { agentMs: 10, waitingMs: 90 }, { agentMs: 100 }, { agentMs: 10, waitingMs: 90 }],
    ['all of them', { agentMs: 10 }, { agentMs: 50, waitingMs: 70, frozenMs: 9 }, { agentMs: 50, waitingMs: 50 }],
  ])('%s', (_name, billed, late, expected) => {
    const all = (over: object) => ({ ...ZERO_USAGE, ...over });
    expect(correctedCounters(all(billed), all(late), 1_000, 1_100)).toEqual(all(expected));
  });
});

describe('late batches beside the log', () => {
  test('a chunk they name can be read; one that stands there already stays as it is', async () => {
    const { ports, ref } = await closedSession();
    await ingestBatch(ports, ref, batchOf(ref, 3, [chunk(0, 999), chunk(1, 10)]));
    const { chunks } = await listChunks(ports.db, ref, { epoch: 1, offset: 0 }, 10);
    expect(chunks.map(({ number, firstOffset }) => [number, firstOffset])).toEqual([
      [0, 0],
      [1, 10],
    ]);
    expect(chunks[1]?.key).toContain('/transcript/000001/000001');
  });

  test('state, log and checkpoint stay as the closing left them', async () => {
    const { ports, ref } = await closedSession();
    const before = await ports.sessions.meta(ref);
    const end: EventDraft = { type: 'session_state_changed', fromState: 'created', toState: 'failed', reason: null };
    const number = 'tenants/acme/sessions/x/checkpoints/000001-000001.tar.gz';
    const stored: EventDraft = {
      type: 'workspace_checkpointed',
      checkpointKey: number,
      sizeBytes: 1,
      sha256: 'a'.repeat(64),
    };
    await ingestBatch(
      ports,
      ref,
      batchOf(ref, 3, [stored, end, { type: 'epoch_drained', why: 'w', checkpointKey: null }]),
    );
    expect(await ports.sessions.meta(ref)).toEqual(before);
    expect((await readEvents(ports.db, ref, 0, 99)).at(-1)?.type).toBe('runner_lost');
  });

  test('the last batch of an epoch, sent again after the next was raised, is a duplicate and nothing is kept aside', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const first = batchOf(ref, 1, [message]);
    const last = batchOf(ref, 2, [tick({ agentMs: 1 }), { type: 'epoch_drained', why: 'w', checkpointKey: null }]);
    for (const batch of [first, last]) await ingestBatch(ports, ref, batch);
    ports.clock.advance(10_000);
    await continueSession(ports, ref);
    for (const batch of [first, last])
      expect(await ingestBatch(ports, ref, batch)).toMatchObject({ kind: 'ack', ackedRseq: 3 });
    expect(ports.db.all('events').filter(({ sk }) => String(sk).startsWith('ANNEX#'))).toEqual([]);
    expect(await ingestBatch(ports, ref, batchOf(ref, 2, [message, message]))).toMatchObject({
      reason: 'other_digest',
    });
    expect(await ingestBatch(ports, ref, batchOf(ref, 4, [message]))).toEqual({
      kind: 'nack',
      reason: 'stale_epoch',
      expected: 5,
    });
  });

  test('batches with other borders than those before keep each event once', async () => {
    const { ports, ref } = await closedSession();
    const say = (text: string): EventDraft => ({ ...message, text }) as EventDraft;
    const drafts = [
      say('three'),
      tick({ agentMs: 60_000 }),
      model,
      chunk(1, 10),
      tick({ agentMs: 70_000 }),
      say('eight'),
    ];
    const all = batchOf(ref, 3, drafts);
    const late = (firstRseq: number, lastRseq: number) => ingestBatch(ports, ref, part(all, firstRseq, lastRseq));
    const orders = [
      [4, 5],
      [7, 7],
      [3, 8],
      [5, 6],
      [3, 4],
      [3, 8],
    ] as const;
    for (const [first, last] of orders)
      expect(await late(first, last)).toEqual({ kind: 'nack', reason: 'closed', expected: last + 1 });
    expect(annexed(ports).toSorted((a, b) => a - b)).toEqual([3, 4, 5, 6, 7, 8]);
    const corrections = rows(ports).filter(({ source }) => source === 'correction');
    expect(corrections.map(({ kind, rseq }) => [kind, rseq])).toEqual([
      ['correction', 4],
      ['model', 5],
      ['correction', 7],
    ]);
    expect(await usageOf(ports, ref)).toMatchObject({ agentMs: 70_000 });
  });

  test('such batches that come at once keep each event once too', async () => {
    const { ports, ref } = await closedSession();
    const drafts = [tick({ agentMs: 60_000 }), message, message, tick({ agentMs: 70_000 }), message];
    const all = batchOf(ref, 3, drafts);
    const borders = [
      [3, 5],
      [4, 6],
      [5, 7],
      [3, 7],
      [6, 7],
      [7, 7],
    ] as const;
    const answers = await Promise.all(borders.map(([first, last]) => ingestBatch(ports, ref, part(all, first, last))));
    expect(answers).toEqual(borders.map(([, last]) => ({ kind: 'nack', reason: 'closed', expected: last + 1 })));
    expect(annexed(ports).toSorted((a, b) => a - b)).toEqual([3, 4, 5, 6, 7]);
    expect(await usageOf(ports, ref)).toMatchObject({ agentMs: 70_000 });
  });

  test('another event under a number that is kept is set aside with its batch, and the rest stays as it is', async () => {
    const { ports, ref } = await closedSession();
    await ingestBatch(ports, ref, batchOf(ref, 3, [message, tick({ agentMs: 60_000 })]));
    const other = batchOf(ref, 4, [tick({ agentMs: 90_000 }), message]);
    for (let times = 0; times < 2; times += 1)
      expect(await ingestBatch(ports, ref, other)).toEqual({ kind: 'nack', reason: 'other_digest', expected: 4 });
    expect(annexed(ports)).toEqual([3, 4]);
    expect(ports.db.all('events').filter(({ sk }) => String(sk).startsWith('QUARANTINE#'))).toHaveLength(1);
    expect(await usageOf(ports, ref)).toMatchObject({ agentMs: 60_000 });
  });

  test('a batch of an old epoch that only the log remembers is found there', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const first = batchOf(ref, 1, [message]);
    await ingestBatch(ports, ref, first);
    for (let rseq = 2; rseq < 30; rseq += 1) await ingestBatch(ports, ref, batchOf(ref, rseq, [message]));
    await ingestBatch(ports, ref, batchOf(ref, 30, [{ type: 'epoch_drained', why: 'w', checkpointKey: null }]));
    await continueSession(ports, ref);
    await ingestBatch(ports, ref, batchOf(ref, 1, [message], 2));
    expect(await ingestBatch(ports, ref, first)).toMatchObject({ kind: 'ack', ackedRseq: 30 });
    expect(await ingestBatch(ports, ref, batchOf(ref, 1, [tick({})]))).toMatchObject({ reason: 'other_digest' });
  });
});
