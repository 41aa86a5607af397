import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { getEvents } from '../../../../functions/sessions/read-session.ts';
import { setDesired } from '../../../../functions/sessions/set-desired.ts';
import { appendEvents } from '../../../../functions/streams/append-events.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import { batchOf, controlPlanePorts, startedSession, USER } from '../../../fakes/control-plane-ports.ts';

const message = (text: string) => ({ type: 'provider_message', role: 'assistant', text }) as const;

/** A log of batches of 1 to 7 events, with events of the control plane in between. */
const filled = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  let rseq = 1;
  for (let batch = 0; batch < 60; batch += 1) {
    const events = Array.from({ length: 1 + ((batch * 5) % 7) }, (_, index) => message(`${batch}/${index}`));
    await ingestBatch(ports, ref, batchOf(ref, rseq, events));
    rseq += events.length;
    if (batch % 10 === 0) await setDesired(ports, ref, batch % 20 === 0 ? 'pause' : 'run', USER);
  }
  return { ports, ref, headSeq: (await ports.sessions.head(ref))?.seq ?? 0 };
};

describe('reading the log', () => {
  test('any start and any page length give every event once, in order', async () => {
    const { ports, ref, headSeq } = await filled();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: headSeq + 3 }),
        fc.integer({ min: 1, max: 97 }),
        async (from, limit) => {
          const seqs: number[] = [];
          let fromSeq = from;
          do {
            const page = await getEvents(ports, ref, { fromSeq, limit });
            expect(page.events.length).toBeLessThanOrEqual(limit);
            expect(page.headSeq).toBe(headSeq);
            seqs.push(...page.events.map(({ seq }) => seq));
            if (page.events.length === 0) break;
            fromSeq = page.nextSeq;
          } while (fromSeq <= headSeq);
          const first = Math.max(1, from);
          expect(seqs).toEqual(Array.from({ length: Math.max(0, headSeq + 1 - first) }, (_, index) => first + index));
        },
      ),
      { seed: 11, numRuns: 60 },
    );
  });

  test('at the end nextSeq is one above the head', async () => {
    const { ports, ref, headSeq } = await filled();
    expect((await getEvents(ports, ref, { fromSeq: headSeq, limit: 1_000 })).nextSeq).toBe(headSeq + 1);
    expect((await getEvents(ports, ref, { fromSeq: headSeq + 1, limit: 5 })).nextSeq).toBe(headSeq + 1);
  });

  test('a page is cut where an answer of Lambda would be too large, and goes on from there', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    for (let rseq = 1; rseq <= 800; rseq += 2)
      await ingestBatch(ports, ref, batchOf(ref, rseq, [message('x'.repeat(7_900)), message('界'.repeat(2_600))]));
    const page = await getEvents(ports, ref, { fromSeq: 0, limit: 1_000 });
    expect(Buffer.byteLength(JSON.stringify({ body: JSON.stringify(page) }))).toBeLessThan(6_000_000);
    expect(page.events.length).toBeGreaterThan(200);
    expect(page.nextSeq).toBe(page.events.length + 1);
    let { nextSeq } = page;
    for (let pages = 0; nextSeq <= page.headSeq && pages < 10; pages += 1) {
      const next = await getEvents(ports, ref, { fromSeq: nextSeq, limit: 1_000 });
      expect(next.events[0]?.seq).toBe(nextSeq);
      nextSeq = next.nextSeq;
    }
    expect(nextSeq).toBe(802);
  });

  test('nothing is read of another session', async () => {
    const { ports, ref } = await filled();
    expect(await readEvents(ports.db, { ...ref, tenantId: 'other' }, 0, 10)).toEqual([]);
  });
});

describe('events of the control plane', () => {
  test('take their numbers from the same head as batches, whoever is faster', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const appends = Array.from({ length: 5 }, (_, index) =>
      appendEvents(ports, ref, () => ({ events: [{ type: 'alert_raised', code: `a${index}`, message: 'x' }] })),
    );
    const batches = (async () => {
      for (let rseq = 1; rseq <= 5; rseq += 1) await ingestBatch(ports, ref, batchOf(ref, rseq, [message('x')]));
    })();
    await Promise.all([...appends, batches]);
    const events = await readEvents(ports.db, ref, 0, 100);
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 11 }, (_, index) => index + 1));
    expect(events.filter(({ type }) => type === 'alert_raised')).toHaveLength(5);
    expect(events.filter(({ type }) => type === 'provider_message').map(({ rseq }) => rseq)).toEqual([1, 2, 3, 4, 5]);
  });

  test('are planned again on what the winner left, and not at all when nothing is left to do', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    const plans: number[] = [];
    const results = await Promise.all(
      Array.from({ length: 4 }, () =>
        appendEvents(ports, ref, ({ head }) => {
          plans.push(head.seq);
          return head.seq > 1 ? null : { events: [{ type: 'alert_raised', code: 'once', message: 'x' }] };
        }),
      ),
    );
    expect(results.filter((result) => result?.appended.length === 1)).toHaveLength(1);
    expect(plans).toContain(2);
    expect((await ports.sessions.meta(ref))?.seq).toBe(2);
  });

  test('a store that stays contended is an error, not a silence', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    ports.db.transact = async () => ({ ok: false, failed: [{ index: 0, item: null }] });
    await expect(appendEvents(ports, ref, () => ({ events: [] }))).rejects.toThrow('lost 12 rounds');
    await expect(ingestBatch(ports, ref, batchOf(ref, 1, [message('x')]))).rejects.toThrow('lost 12 rounds');
  });

  test('of a session that never was are none', async () => {
    const ports = controlPlanePorts();
    const none = { tenantId: 'acme', sessionId: 'ses_99999999999999999999999999' };
    expect(await appendEvents(ports, none, () => ({ events: [] }))).toBeNull();
    expect(await ingestBatch(ports, none, batchOf(none, 1, []))).toBeNull();
  });
});
