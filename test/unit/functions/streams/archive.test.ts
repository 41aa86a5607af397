import { describe, expect, test } from 'vitest';
import { getEvents } from '../../../../functions/sessions/read-session.ts';
import { type SessionRef, sessionPk } from '../../../../functions/sessions/session-store.ts';
import { appendEvents } from '../../../../functions/streams/append-events.ts';
import { archiveFinished } from '../../../../functions/streams/archive-finished.ts';
import { readPart } from '../../../../functions/streams/archive-object.ts';
import { ArchivedPart, archiveStateOf } from '../../../../functions/streams/archive-rows.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import type { EventDraft, SessionEvent } from '../../../../shared/events.ts';
import { ARCHIVE_AFTER_MS, ARCHIVE_KEEP_MS, ARCHIVE_RETRY_MS } from '../../../../shared/limits.ts';
import { batchOf, controlPlanePorts, startedSession, type TestPorts } from '../../../fakes/control-plane-ports.ts';

const message = (text: string): EventDraft => ({ type: 'provider_message', role: 'assistant', text });
const failing: EventDraft = { type: 'session_state_changed', fromState: 'created', toState: 'failed', reason: null };

/** Every event of the session, in pages of `limit`, as a reader asks for them. */
const readAll = async (ports: TestPorts, ref: SessionRef, limit = 1_000, fromSeq = 0): Promise<SessionEvent[]> => {
  const events: SessionEvent[] = [];
  for (let from = fromSeq; ; ) {
    const page = await getEvents(ports, ref, { fromSeq: from, limit });
    events.push(...page.events);
    if (page.nextSeq > page.headSeq) return events;
    expect(page.nextSeq).toBeGreaterThan(from);
    from = page.nextSeq;
  }
};

/** A session that is over, with `batches` batches of text of `chars` characters. */
const finished = async (batches = 30, chars = 20) => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  let rseq = 1;
  for (let batch = 0; batch < batches; batch += 1) {
    const events = Array.from({ length: 1 + (batch % 4) }, (_, index) =>
      message(`${batch}/${index} ${'x'.repeat(chars)}`),
    );
    await ingestBatch(ports, ref, batchOf(ref, rseq, events));
    rseq += events.length;
  }
  await ingestBatch(ports, ref, batchOf(ref, rseq, [failing]));
  const errors: unknown[] = [];
  const run = () => archiveFinished({ ...ports, onError: (_ref, error) => void errors.push(error) });
  return { ports, ref, rseq: rseq + 1, errors, run };
};
const segmentsOf = (ports: TestPorts) => ports.db.all('events').filter(({ sk }) => String(sk).startsWith('SEG#'));
/** What DynamoDB does by itself. */
const sweep = async (ports: TestPorts): Promise<number> => {
  const nowSec = ports.clock.nowMs() / 1_000;
  const expired = ports.db.all('events').filter(({ expiresAtSec }) => Number(expiresAtSec ?? Infinity) < nowSec);
  for (const { pk, sk } of expired)
    await ports.db.write({ kind: 'delete', table: 'events', key: { pk: String(pk), sk: String(sk) } });
  return expired.length;
};
const damage = (ports: TestPorts) => {
  for (const [key, body] of ports.objects.bodies)
    ports.objects.bodies.set(
      key,
      body.map((byte, at) => (at === 40 ? byte ^ 1 : byte)),
    );
};

describe('the log of a session that is over', () => {
  test('is archived after a while, and only then its rows may go; it reads the same before, meanwhile and after', async () => {
    const { ports, ref, run } = await finished();
    const before = await readAll(ports, ref);
    expect(await run()).toEqual({ checked: 0, archived: 0, failed: 0 });
    expect(segmentsOf(ports).every(({ expiresAtSec }) => expiresAtSec === undefined)).toBe(true);

    ports.clock.advance(ARCHIVE_AFTER_MS);
    expect(await run()).toEqual({ checked: 1, archived: 1, failed: 0 });
    const expected = Math.ceil((ports.clock.nowMs() + ARCHIVE_KEEP_MS) / 1_000);
    expect(segmentsOf(ports).map(({ expiresAtSec }) => expiresAtSec)).toEqual(segmentsOf(ports).map(() => expected));
    expect(await readAll(ports, ref)).toEqual(before);
    expect(await sweep(ports)).toBe(0);

    ports.clock.advance(ARCHIVE_KEEP_MS + 2_000);
    expect(await sweep(ports)).toBe(32);
    expect(segmentsOf(ports)).toEqual([]);
    for (const limit of [1, 7, 1_000]) expect(await readAll(ports, ref, limit)).toEqual(before);
    for (const from of [2, 33, before.length, before.length + 1])
      expect(await readAll(ports, ref, 5, from)).toEqual(before.slice(from - 1));
    expect(await run()).toEqual({ checked: 0, archived: 0, failed: 0 });
  });

  test('of many megabytes goes into several objects, and pages stay small enough for an answer', async () => {
    const { ports, ref, run } = await finished(400, 7_000);
    const before = await readAll(ports, ref);
    ports.clock.advance(ARCHIVE_AFTER_MS);
    expect(await run()).toMatchObject({ archived: 1 });
    expect(ports.objects.bodies.size).toBeGreaterThan(1);
    ports.clock.advance(ARCHIVE_KEEP_MS + 2_000);
    await sweep(ports);
    expect(await readAll(ports, ref)).toEqual(before);
    const page = await getEvents(ports, ref, { fromSeq: 1, limit: 1_000 });
    expect(Buffer.byteLength(JSON.stringify({ body: JSON.stringify(page) }))).toBeLessThan(6_000_000);
  });

  test('of a session that goes on is left alone', async () => {
    const ports = controlPlanePorts();
    const ref = await startedSession(ports);
    await ingestBatch(ports, ref, batchOf(ref, 1, [message('a')]));
    // Evidence beside the log of a live session makes it due.
    await ingestBatch(ports, ref, batchOf(ref, 1, [message('b')]));
    ports.clock.advance(ARCHIVE_AFTER_MS);
    const run = () => archiveFinished({ ...ports, onError: (_ref, error) => expect(error).toBeUndefined() });
    expect(await run()).toEqual({ checked: 1, archived: 0, failed: 0 });
    expect(ports.objects.bodies.size).toBe(0);
    expect(await run()).toMatchObject({ checked: 0 });
  });
});

describe('what comes after the end', () => {
  test('annex and evidence are archived too, and what comes later still is', async () => {
    const { ports, ref, rseq, run } = await finished(3);
    const annex = (first: number) => ingestBatch(ports, ref, batchOf(ref, first, [message(`late ${first}`)]));
    expect(await annex(rseq)).toMatchObject({ kind: 'nack', reason: 'closed' });
    await ingestBatch(ports, ref, batchOf(ref, rseq, [message('forged')]));
    ports.clock.advance(ARCHIVE_AFTER_MS);
    expect(await run()).toMatchObject({ archived: 1, failed: 0 });
    await annex(rseq + 1);
    ports.clock.advance(ARCHIVE_AFTER_MS);
    expect(await run()).toMatchObject({ archived: 1, failed: 0 });
    expect(ports.db.all('events').every(({ expiresAtSec }) => expiresAtSec !== undefined)).toBe(true);

    const parts = ports.db
      .all('sessions')
      .filter(({ sk }) => String(sk).startsWith('ARCHIVE#ASIDE#'))
      .map((item) => ArchivedPart.parse(item));
    const rows = await Promise.all(parts.map((part) => readPart(ports.objects, part)));
    expect(rows.flatMap((read) => (read.kind === 'rows' ? read.rows.map(({ sk }) => sk.split('#')[0]) : []))).toEqual([
      'ANNEX',
      'QUARANTINE',
      'ANNEX',
    ]);
  });

  test('events of the control plane follow in an object of their own', async () => {
    const { ports, ref, run } = await finished(3);
    ports.clock.advance(ARCHIVE_AFTER_MS);
    await run();
    await appendEvents(ports, ref, () => ({ events: [{ type: 'alert_raised', code: 'late', message: 'x' }] }));
    const all = await readAll(ports, ref);
    ports.clock.advance(ARCHIVE_AFTER_MS);
    expect(await run()).toMatchObject({ archived: 1 });
    ports.clock.advance(ARCHIVE_KEEP_MS + 2_000);
    await sweep(ports);
    expect(await readAll(ports, ref, 4)).toEqual(all);
    expect(all.at(-1)).toMatchObject({ code: 'late' });
  });
});

describe('an archive that is not what was stored', () => {
  test('found when it is read back: no row gets its TTL, an alert says so once, and a later run heals it', async () => {
    const { ports, ref, run, errors } = await finished();
    const before = await readAll(ports, ref);
    ports.clock.advance(ARCHIVE_AFTER_MS);
    const { putOnce } = ports.objects;
    ports.objects.putOnce = async (request) => {
      const result = await putOnce(request);
      damage(ports);
      return result;
    };
    for (let turn = 0; turn < 3; turn += 1) {
      expect(await run()).toEqual({ checked: 1, archived: 0, failed: 1 });
      ports.clock.advance(ARCHIVE_RETRY_MS);
    }
    expect(errors).toHaveLength(3);
    expect(segmentsOf(ports).every(({ expiresAtSec }) => expiresAtSec === undefined)).toBe(true);
    const after = await readAll(ports, ref);
    expect(after.slice(0, before.length)).toEqual(before);
    expect(after.slice(before.length)).toMatchObject([{ type: 'alert_raised', code: 'archive_refused' }]);

    ports.objects.putOnce = putOnce;
    expect(await run()).toMatchObject({ archived: 1, failed: 0 });
    expect((await archiveStateOf(ports.db, ref))?.failures).toBe(0);
    ports.clock.advance(ARCHIVE_KEEP_MS + 2_000);
    await sweep(ports);
    expect(await readAll(ports, ref)).toEqual(after);
  });

  test('found before the TTL is set: refused, written anew, and proven before the rows go', async () => {
    const { ports, ref, run, errors } = await finished();
    const before = await readAll(ports, ref);
    ports.clock.advance(ARCHIVE_AFTER_MS);
    const { transact } = ports.db;
    // The run ends right after the object was remembered.
    ports.db.transact = async (writes) => {
      ports.db.transact = transact;
      const result = await ports.db.transact(writes);
      damage(ports);
      return result;
    };
    expect(await run()).toMatchObject({ failed: 1 });
    expect(String(errors[0])).toContain('was damaged and is written anew');
    expect(segmentsOf(ports).every(({ expiresAtSec }) => expiresAtSec === undefined)).toBe(true);
    ports.clock.advance(ARCHIVE_RETRY_MS);
    expect(await run()).toMatchObject({ archived: 1, failed: 0 });
    ports.clock.advance(ARCHIVE_KEEP_MS + 2_000);
    await sweep(ports);
    expect((await readAll(ports, ref)).slice(0, before.length)).toEqual(before);
  });

  test('found by a reader: the table answers while it has the rows, and then nothing is made up', async () => {
    const { ports, ref, run } = await finished();
    const before = await readAll(ports, ref);
    ports.clock.advance(ARCHIVE_AFTER_MS);
    await run();
    damage(ports);
    expect(await readAll(ports, ref)).toEqual(before);
    ports.clock.advance(ARCHIVE_KEEP_MS + 2_000);
    await sweep(ports);
    await expect(readAll(ports, ref)).rejects.toMatchObject({ code: 'unavailable' });
    ports.objects.bodies.clear();
    await expect(readAll(ports, ref)).rejects.toThrow('not stored any more');
  });

  test('a log with a hole keeps all of its rows', async () => {
    const { ports, ref, run, errors } = await finished();
    await ports.db.write({ kind: 'delete', table: 'events', key: { pk: sessionPk(ref), sk: 'SEG#000000000003' } });
    ports.clock.advance(ARCHIVE_AFTER_MS);
    expect(await run()).toMatchObject({ failed: 1 });
    expect(String(errors[0])).toContain('broken at event 3');
    expect(segmentsOf(ports).every(({ expiresAtSec }) => expiresAtSec === undefined)).toBe(true);
  });
});

test('a run that dies anywhere is finished by the next one', async () => {
  const { ports: count } = await finished(12);
  count.clock.advance(ARCHIVE_AFTER_MS);
  let calls = 0;
  const counting = (ports: TestPorts, called: () => void): TestPorts['db'] =>
    Object.assign(Object.create(ports.db) as TestPorts['db'], {
      get: ports.db.get.bind(ports.db),
      query: ports.db.query.bind(ports.db),
      write: async (one: Parameters<TestPorts['db']['write']>[0]) => {
        called();
        return ports.db.write(one);
      },
      transact: async (all: Parameters<TestPorts['db']['transact']>[0]) => {
        called();
        return ports.db.transact(all);
      },
    });
  const called = () => {
    calls += 1;
  };
  await archiveFinished({ ...count, db: counting(count, called), onError: () => {} });
  expect(calls).toBeGreaterThan(10);
  for (let dieAt = 1; dieAt <= calls; dieAt += 1) {
    const { ports, ref } = await finished(12);
    const before = await readAll(ports, ref);
    ports.clock.advance(ARCHIVE_AFTER_MS);
    let left = dieAt;
    const die = () => {
      left -= 1;
      if (left <= 0) throw new Error('killed');
    };
    await archiveFinished({ ...ports, db: counting(ports, die), onError: () => {} });
    expect(await readAll(ports, ref)).toEqual(before);
    const errors: unknown[] = [];
    await archiveFinished({ ...ports, onError: (_ref, error) => void errors.push(error) });
    expect(errors).toEqual([]);
    ports.clock.advance(ARCHIVE_KEEP_MS + 2_000);
    await sweep(ports);
    expect(segmentsOf(ports)).toEqual([]);
    expect(await readAll(ports, ref, 3)).toEqual(before);
  }
});
