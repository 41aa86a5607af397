import { describe, expect, test } from 'vitest';
import type { Database } from '../../../../functions/database.ts';
import { sessionStore } from '../../../../functions/sessions/session-store.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { eventsOf } from '../../../../functions/streams/segments.ts';
import { type NewViewerRow, presenceOf, watcherStore } from '../../../../functions/streams/watchers.ts';
import { type EventOf, SessionEventSchema } from '../../../../shared/events.ts';
import { CONTROL_REQUEST_EXPIRES_MS, VIEWER_EXPIRY_MS, VIEWERS_PER_SESSION_MAX } from '../../../../shared/limits.ts';
import { batchOf, controlPlanePorts, startedSession, TestClock } from '../../../fakes/control-plane-ports.ts';
import { MemoryDatabase } from '../../../fakes/memory-database.ts';

const ref = { tenantId: 'acme', sessionId: 'ses_00000000000000000000000001' };

const setUp = () => {
  const clock = new TestClock();
  const db = new MemoryDatabase();
  const store = watcherStore({ db, sessions: sessionStore(db, clock), clock });
  const attach = (
    viewerId: string,
    mode: 'control' | 'watch' = 'watch',
    takeOver = false,
    connectionId = `c-${viewerId}`,
  ) => store.attach(ref, { viewerId, connectionId, userId: 'ada', mode, sinceMs: clock.nowMs() }, takeOver);
  return { clock, db, store, attach };
};

describe('who leads', () => {
  test('the first who asks; a second watches, until the second takes over', async () => {
    const { attach } = setUp();
    expect((await attach('first', 'control'))?.control).toMatchObject({ controllerId: 'first', controlTerm: 1 });
    expect((await attach('second', 'control'))?.control).toMatchObject({ controllerId: 'first', controlTerm: 1 });
    expect((await attach('second', 'control', true))?.control).toMatchObject({
      controllerId: 'second',
      controlTerm: 2,
    });
  });

  test('a controller that attaches again keeps its term', async () => {
    const { attach } = setUp();
    await attach('first', 'control');
    expect((await attach('first', 'control', true, 'c-new'))?.control).toMatchObject({
      controllerId: 'first',
      controlTerm: 1,
    });
  });

  test('nobody by watching', async () => {
    const { attach } = setUp();
    expect((await attach('first'))?.control).toMatchObject({ controllerId: null, controlTerm: 0 });
  });

  test('nobody once the leader wishes to watch, in a new term; somebody else’s lead stays', async () => {
    const { attach } = setUp();
    await attach('first', 'control');
    expect((await attach('second', 'watch'))?.control).toMatchObject({ controllerId: 'first', controlTerm: 1 });
    expect((await attach('first', 'watch'))?.control).toMatchObject({ controllerId: null, controlTerm: 2 });
    expect((await attach('second', 'control'))?.control).toMatchObject({ controllerId: 'second', controlTerm: 3 });
  });

  test('a place that its holder left is taken without force, in a new term', async () => {
    const { attach, store } = setUp();
    await attach('first', 'control');
    await store.detach(ref, 'first', 'c-first');
    expect((await attach('second', 'control'))?.control).toMatchObject({ controllerId: 'second', controlTerm: 2 });
  });

  test('of viewers that take over at once one wins a term, and all see the same winner', async () => {
    const { attach, store } = setUp();
    await attach('first', 'control');
    await Promise.all(Array.from({ length: 10 }, (_, index) => attach(`viewer-${index}`, 'control', true)));
    const { control } = await store.read(ref);
    expect(control.controllerId).toMatch(/^viewer-\d$/);
    expect(control.controlTerm).toBe(2);
  });
});

describe('the list', () => {
  test('has a higher revision after each attach and detach', async () => {
    const { attach, store } = setUp();
    const revs = [
      (await attach('first', 'control'))?.control.rev,
      (await attach('second'))?.control.rev,
      (await attach('second'))?.control.rev,
      (await store.detach(ref, 'second', 'c-second'))?.control.rev,
    ];
    expect(revs.every((rev, index) => index === 0 || Number(rev) > Number(revs[index - 1]))).toBe(true);
  });

  test('keeps a viewer for the user who attached it, on whatever connection', async () => {
    const { attach, store, clock } = setUp();
    await attach('first', 'control');
    const thief = { viewerId: 'first', connectionId: 'thief', userId: 'eve', mode: 'control', sinceMs: 9 } as const;
    await expect(store.attach(ref, thief, true)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('choose another viewerId'),
    });
    expect(await store.attachments('acme', 'thief')).toEqual([]);
    expect((await store.read(ref)).viewers).toMatchObject([{ userId: 'ada', connectionId: 'c-first' }]);
    expect((await attach('first', 'control', false, 'c-new'))?.viewers).toMatchObject([{ connectionId: 'c-new' }]);
    clock.advance(VIEWER_EXPIRY_MS + 1);
    expect((await store.attach(ref, thief, false))?.viewers).toMatchObject([{ userId: 'eve' }]);
  });

  test('a late end of an old connection does not remove the newer one', async () => {
    const { attach, store } = setUp();
    await attach('first', 'watch', false, 'old');
    await attach('first', 'watch', false, 'new');
    expect(await store.detach(ref, 'first', 'old')).toBeNull();
    expect((await store.read(ref)).viewers).toMatchObject([{ viewerId: 'first', connectionId: 'new' }]);
    expect(await store.attachments('acme', 'old')).toEqual([]);
    expect(await store.attachments('acme', 'new')).toEqual([{ ref, viewerId: 'first' }]);
  });

  test('is never older than its revision, whoever attaches while it is read', async () => {
    const { db, clock, attach } = setUp();
    await attach('first');
    const slow: Database = {
      get: async (table, key) => {
        await attach('second');
        return db.get(table, key);
      },
      query: (query) => db.query(query),
      write: (write) => db.write(write),
      transact: (writes) => db.transact(writes),
    };
    const list = await watcherStore({ db: slow, sessions: sessionStore(slow, clock), clock }).read(ref);
    expect(list.control.rev).toBe(2);
    expect(list.viewers.map(({ viewerId }) => viewerId)).toEqual(['first', 'second']);
  });

  test('takes a hundred viewers, then none, but the same one again', async () => {
    const { attach, store } = setUp();
    for (let index = 0; index < VIEWERS_PER_SESSION_MAX; index += 1) await attach(`viewer-${index}`);
    expect(await attach('one-more')).toBeNull();
    expect(await attach('viewer-7')).not.toBeNull();
    await store.detach(ref, 'viewer-7', 'c-viewer-7');
    expect(await attach('one-more')).not.toBeNull();
  });

  test('holds no more than a hundred when many come at once', async () => {
    const { attach, store } = setUp();
    const results = await Promise.all(Array.from({ length: 300 }, (_, index) => attach(`viewer-${index}`)));
    const { viewers } = await store.read(ref);
    expect(viewers.length).toBeLessThanOrEqual(VIEWERS_PER_SESSION_MAX);
    expect(results.filter((list) => list !== null)).toHaveLength(viewers.length);
    expect(results.every((list) => list === null || list.viewers.length <= VIEWERS_PER_SESSION_MAX)).toBe(true);
  });

  test('forgets who has not pinged, and a ping keeps', async () => {
    const { attach, clock, store } = setUp();
    await attach('silent', 'control');
    await attach('alive');
    clock.advance(VIEWER_EXPIRY_MS / 2);
    await store.touch(ref, 'alive', 'c-alive');
    await store.touch(ref, 'silent', 'another connection');
    clock.advance(VIEWER_EXPIRY_MS / 2);
    expect((await store.read(ref)).viewers.map(({ viewerId }) => viewerId)).toEqual(['alive']);
    expect((await attach('third', 'control'))?.control.controllerId).toBe('third');
  });

  test('is not blocked by hundreds who left without a word', async () => {
    const { attach, clock, store } = setUp();
    for (let round = 0; round < 4; round += 1) {
      for (let index = 0; index < 90; index += 1) await attach(`round-${round}-${index}`);
      clock.advance(VIEWER_EXPIRY_MS + 1);
    }
    expect((await attach('new'))?.viewers.map(({ viewerId }) => viewerId)).toEqual(['new']);
    expect((await store.read(ref)).viewers).toHaveLength(1);
  });

  test('a ping of somebody who was never here adds nobody', async () => {
    const { store } = setUp();
    await store.touch(ref, 'ghost', 'c');
    expect((await store.read(ref)).viewers).toEqual([]);
  });
});

test('lines over HTTP are numbered one after the other', async () => {
  const { store } = setUp();
  const numbers = await Promise.all(Array.from({ length: 20 }, () => store.nextApiInputSeq(ref)));
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
});

describe('asking for the keyboard', () => {
  const asked = async () => {
    const set = setUp();
    await set.attach('first', 'control');
    await set.attach('second');
    return { ...set, watchers: await set.store.ask(ref, 'second', true) };
  };

  test('shows as one open question; a repeat changes nothing, a third waits', async () => {
    const { attach, clock, store, watchers } = await asked();
    const request = { viewerId: 'second', sinceMs: clock.nowMs(), declined: false };
    expect(presenceOf(watchers)).toMatchObject({ controllerId: 'first', request });
    clock.advance(5_000);
    await attach('third');
    const before = (await store.read(ref)).control.rev;
    expect(presenceOf(await store.ask(ref, 'second', true))).toMatchObject({ rev: before, request });
    expect(presenceOf(await store.ask(ref, 'third', true))).toMatchObject({ rev: before, request });
  });

  test('is answered with a new lead, or with a no that lets it ask again', async () => {
    const { store, clock } = await asked();
    const no = await store.answer(ref, 'first', { controlTerm: 1, toViewerId: 'second', allow: false });
    expect(presenceOf(no)).toMatchObject({ controllerId: 'first', request: { viewerId: 'second', declined: true } });
    clock.advance(1_000);
    expect(presenceOf(await store.ask(ref, 'second', true)).request).toMatchObject({ declined: false });
    const yes = await store.answer(ref, 'first', { controlTerm: 1, toViewerId: 'second', allow: true });
    expect(presenceOf(yes)).toMatchObject({ controllerId: 'second', controlTerm: 2, request: null });
    expect(presenceOf(yes).viewers).toMatchObject([
      { viewerId: 'first', mode: 'watch' },
      { viewerId: 'second', mode: 'control' },
    ]);
  });

  test.each([
    ['of another term', 'first', { controlTerm: 2, toViewerId: 'second', allow: true }],
    ['of somebody who does not lead', 'second', { controlTerm: 1, toViewerId: 'second', allow: true }],
    ['to somebody who does not ask', 'first', { controlTerm: 1, toViewerId: 'third', allow: true }],
  ])('an answer %s gives nothing away', async (_name, from, answer) => {
    const { store } = await asked();
    expect(presenceOf(await store.answer(ref, from, answer))).toMatchObject({ controllerId: 'first', controlTerm: 1 });
  });

  test('is over when it is taken back, when its asker leaves, when it is old, and with the lead', async () => {
    const { attach, store, clock } = await asked();
    expect(presenceOf(await store.ask(ref, 'second', false)).request).toBeNull();
    await store.ask(ref, 'second', true);
    await store.detach(ref, 'second', 'c-second');
    expect(presenceOf(await store.read(ref)).request).toBeNull();
    await attach('second');
    await attach('third');
    clock.advance(CONTROL_REQUEST_EXPIRES_MS);
    expect(presenceOf(await store.ask(ref, 'third', true)).request).toMatchObject({ viewerId: 'third' });
    await attach('second', 'control', true);
    expect(presenceOf(await store.read(ref))).toMatchObject({ controllerId: 'second', request: null });
  });

  test('of nobody takes the keyboard at once', async () => {
    const { attach, store } = setUp();
    await attach('second');
    expect(presenceOf(await store.ask(ref, 'second', true))).toMatchObject({ controllerId: 'second', request: null });
  });
});

describe('a keyboard that changes hands is in the log', () => {
  const inLog = async () => {
    const ports = controlPlanePorts();
    const session = await startedSession(ports);
    const { watchers: store, clock } = ports;
    const row = { mode: 'control', sinceMs: 0 } as const;
    const attach = (viewerId: string, over: Partial<NewViewerRow> = {}, takeOver = false) =>
      store.attach(
        session,
        { ...row, viewerId, connectionId: `c-${viewerId}`, userId: `u-${viewerId}`, device: `d-${viewerId}`, ...over },
        takeOver,
      );
    const taken = () =>
      ports.db
        .all('events')
        .flatMap(eventsOf)
        .filter((event): event is EventOf<'control_taken'> => event.type === 'control_taken')
        .map(({ viewerId, controlTerm, from, how }) => [viewerId, controlTerm, from.viewerId, how]);
    return { ports, session, store, clock, attach, taken };
  };

  test('with who had it, who has it now, and both their devices', async () => {
    const { ports, session, attach } = await inLog();
    await attach('first');
    await attach('second', {}, true);
    const events = ports.db.all('events').flatMap(eventsOf);
    expect(events.map(({ seq, type }) => [seq, type])).toEqual([
      [1, 'session_created'],
      [2, 'control_taken'],
    ]);
    expect(SessionEventSchema.parse(events[1])).toMatchObject({
      ...{ viewerId: 'second', userId: 'u-second', device: 'd-second', controlTerm: 2, how: 'taken', rseq: 0 },
      from: { viewerId: 'first', userId: 'u-first', device: 'd-first' },
    });
    expect(await ports.sessions.record(session)).toMatchObject({ head: { seq: 2 }, meta: { seq: 2 } });
  });

  test('when it was allowed, when its holder left, and when it was given back', async () => {
    const { session, store, attach, taken } = await inLog();
    await attach('first');
    await attach('second', { mode: 'watch' });
    await store.ask(session, 'second', true);
    await store.answer(session, 'first', { controlTerm: 1, toViewerId: 'second', allow: true });
    await store.detach(session, 'second', 'c-second');
    await attach('third');
    await attach('third', { mode: 'watch' });
    await store.ask(session, 'first', true);
    expect(taken()).toEqual([
      ['second', 2, 'first', 'allowed'],
      ['third', 3, 'second', 'free'],
      ['first', 5, 'third', 'free'],
    ]);
  });

  test('not for the first who leads, who comes back, asks, is refused, or only watches', async () => {
    const { session, store, attach, taken, clock } = await inLog();
    await attach('first');
    await attach('first', { connectionId: 'c-new' }, true);
    await attach('first', { mode: 'watch', connectionId: 'c-new' });
    await attach('first', { connectionId: 'c-new' });
    await attach('second');
    await store.ask(session, 'second', true);
    await store.answer(session, 'first', { controlTerm: 3, toViewerId: 'second', allow: false });
    clock.advance(VIEWER_EXPIRY_MS + 1);
    await attach('first', { connectionId: 'c-later' });
    expect(taken()).toEqual([]);
  });

  test('once, whoever takes it at the same moment', async () => {
    const { session, store, attach, taken } = await inLog();
    await attach('first');
    await Promise.all(Array.from({ length: 10 }, (_, index) => attach(`viewer-${index}`, {}, true)));
    const { controllerId } = (await store.read(session)).control;
    expect(taken()).toEqual([[controllerId, 2, 'first', 'taken']]);
  });

  test('and when the log cannot be written it does not change hands', async () => {
    const { ports, session, attach, taken } = await inLog();
    await attach('first');
    ports.db.transact = async () => {
      throw new Error('throttled');
    };
    await expect(attach('second', {}, true)).rejects.toThrow('throttled');
    expect((await ports.watchers.read(session)).control).toMatchObject({ controllerId: 'first', controlTerm: 1 });
    expect(taken()).toEqual([]);
  });

  test('unless the session is over: nothing follows its end', async () => {
    const { ports, session, attach, taken } = await inLog();
    await attach('first');
    const fail = { type: 'session_state_changed', fromState: 'created', toState: 'failed', reason: null } as const;
    await ingestBatch(ports, session, batchOf(session, 1, [fail]));
    expect((await attach('second', {}, true))?.control).toMatchObject({ controllerId: 'second', controlTerm: 2 });
    expect(taken()).toEqual([]);
  });
});
