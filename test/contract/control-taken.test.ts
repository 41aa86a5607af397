/** A keyboard that changes hands is in the log once per term, numbered with everything else, whoever writes at the same moment. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Database, queryAll } from '../../functions/database.ts';
import { type SessionRef, sessionPk } from '../../functions/sessions/session-store.ts';
import { ingestBatch } from '../../functions/streams/ingest-batch.ts';
import { eventsOf } from '../../functions/streams/segments.ts';
import type { EventOf } from '../../shared/events.ts';
import { batchOf, controlPlanePortsOn, startedSession } from '../fakes/control-plane-ports.ts';
import { DYNOXIDE_ENGINE, MEMORY_ENGINE } from './dynamodb/engines.ts';

describe.each([MEMORY_ENGINE, DYNOXIDE_ENGINE])('on $name', ({ open }) => {
  let db: Database;
  let close = async () => {};
  beforeAll(async () => {
    ({ db, close } = await open());
  });
  afterAll(() => close());

  const logOf = async (ref: SessionRef) =>
    (await queryAll(db, { table: 'events', partition: sessionPk(ref), sort: { beginsWith: 'SEG#' } }, 1_000)).flatMap(
      eventsOf,
    );

  test('everybody takes it at once, while the runner commits', async () => {
    const ports = controlPlanePortsOn(db);
    const ref = await startedSession(ports);
    const attach = (viewerId: string, takeOver = true) =>
      ports.watchers.attach(
        ref,
        { viewerId, connectionId: `c-${viewerId}`, userId: `u-${viewerId}`, mode: 'control', sinceMs: 1 },
        takeOver,
      );
    const commitAll = async () => {
      for (let rseq = 1; rseq <= 6; rseq += 1)
        await ingestBatch(ports, ref, batchOf(ref, rseq, [{ type: 'provider_idle', turnsDone: rseq }]));
    };
    await attach('zero', false);
    await Promise.all([
      commitAll(),
      ...['viewer-1', 'viewer-2', 'viewer-3', 'viewer-4'].map((viewerId) => attach(viewerId)),
    ]);
    await attach('last');

    const events = await logOf(ref);
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index + 1));
    expect(await ports.sessions.record(ref)).toMatchObject({
      head: { seq: events.length },
      meta: { seq: events.length },
    });
    const idle = events.filter(({ type }) => type === 'provider_idle');
    expect(idle.map(({ rseq }) => rseq)).toEqual([1, 2, 3, 4, 5, 6]);

    const { control } = await ports.watchers.read(ref);
    const taken = events.filter((event): event is EventOf<'control_taken'> => event.type === 'control_taken');
    expect(taken.map(({ controlTerm }) => controlTerm)).toEqual(
      Array.from({ length: control.controlTerm - 1 }, (_, index) => index + 2),
    );
    // From hand to hand, without a hole: each has it from the one before, the last one has it still.
    expect(taken.map(({ from }) => from.viewerId)).toEqual(['zero', ...taken.slice(0, -1).map((one) => one.viewerId)]);
    expect(taken.at(-1)).toMatchObject({ viewerId: 'last', userId: 'u-last', rseq: 0, how: 'taken' });
    expect(control.controllerId).toBe('last');
  });
});
