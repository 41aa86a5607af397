import { describe, expect, test } from 'vitest';
import { appendEvents } from '../../../../functions/streams/append-events.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { DIGEST_LOOKUP_READS, storedDigest } from '../../../../functions/streams/stored-digest.ts';
import { batchOf, controlPlanePorts, startedSession } from '../../../fakes/control-plane-ports.ts';

const message = (text: string) => ({ type: 'provider_message', role: 'assistant', text }) as const;

/** A log of batches of 1 to 4 events; `alerts(n)` events of the control plane follow batch n, each in a segment of its own. */
const filled = async (batches: number, alerts: (batch: number) => number) => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  const sent: ReturnType<typeof batchOf>[] = [];
  let rseq = 1;
  for (let number = 0; number < batches; number += 1) {
    const batch = batchOf(
      ref,
      rseq,
      Array.from({ length: 1 + (number % 4) }, (_, index) => message(`${number}/${index}`)),
    );
    sent.push(batch);
    await ingestBatch(ports, ref, batch);
    rseq += batch.events.length;
    for (let count = 0; count < alerts(number); count += 1)
      await appendEvents(ports, ref, () => ({ events: [{ type: 'alert_raised', code: 'x', message: 'x' }] }));
  }
  const head = await ports.sessions.head(ref);
  if (head === null) throw new Error('no session');
  let reads = 0;
  const query = ports.db.query.bind(ports.db);
  ports.db.query = async (request) => {
    reads += request.limit;
    return query(request);
  };
  return { ports, ref, head, sent, reads: () => reads };
};

describe('the digest of a stored batch', () => {
  test('is found for each batch, whatever the control plane wrote in between', async () => {
    const { ports, ref, head, sent } = await filled(60, (number) => (number % 7 === 0 ? 2 : 0));
    for (const { firstRseq, digest } of sent)
      expect(await storedDigest(ports.db, ref, head, firstRseq)).toEqual({ kind: 'found', digest });
  });

  test('is none where no batch began', async () => {
    const { ports, ref, head } = await filled(10, () => 0);
    expect(await storedDigest(ports.db, ref, head, 3)).toEqual({ kind: 'none' });
  });

  test('of the first of many batches costs one read, not the log', async () => {
    const { ports, ref, head, sent, reads } = await filled(120, () => 0);
    expect(await storedDigest(ports.db, ref, head, 1)).toEqual({ kind: 'found', digest: sent[0]?.digest });
    expect(reads()).toBe(1);
  });

  test('is given up where the control plane wrote too much in between: the batch is acknowledged, not compared', async () => {
    const { ports, ref, head, sent, reads } = await filled(20, (number) => (number < 2 ? DIGEST_LOOKUP_READS : 0));
    expect(await storedDigest(ports.db, ref, head, 1)).toEqual({ kind: 'unknown' });
    expect(reads()).toBe(DIGEST_LOOKUP_READS);
    const stored = { kind: 'ack', ackedRseq: head.ackedRseq, headSeq: head.seq };
    const [first] = sent;
    if (first === undefined) throw new Error('nothing sent');
    expect(await ingestBatch(ports, ref, first)).toEqual(stored);
    expect(await ingestBatch(ports, ref, batchOf(ref, 1, [message('other')]))).toEqual(stored);
    expect(JSON.stringify(ports.db.all('events'))).not.toContain('other');
  });
});
