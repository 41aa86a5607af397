import { describe, expect, test } from 'vitest';
import type { Item } from '../../../../functions/database.ts';
import { type FanOutEventPorts, fanOutEvents, framesOf } from '../../../../functions/streams/fan-out-events.ts';
import { ingestBatch } from '../../../../functions/streams/ingest-batch.ts';
import { readEvents } from '../../../../functions/streams/segments.ts';
import { viewerFanOut } from '../../../../functions/streams/viewer-fan-out.ts';
import { EVENT_TYPES, SessionEventSchema } from '../../../../shared/events.ts';
import { ControlToViewerFrame } from '../../../../shared/frames.ts';
import { batchOf, controlPlanePorts, startedSession } from '../../../fakes/control-plane-ports.ts';
import { fixture } from '../../shared/fixtures.ts';

const message = (text: string) => ({ type: 'provider_message', role: 'assistant', text }) as const;

const setUp = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  const attach = (viewerId: string) =>
    ports.watchers.attach(
      ref,
      { viewerId, connectionId: `c-${viewerId}`, userId: 'ada', mode: 'watch', sinceMs: 1 },
      false,
    );
  const unread: string[] = [];
  /** The stream's function is a process of its own. */
  const streamPorts: FanOutEventPorts = {
    ...ports,
    fanOut: viewerFanOut({ ...ports, epochOf: ports.sessions.epochOf }),
    onError: (row) => void unread.push(row),
  };
  const images = (): Item[] => ports.db.all('events');
  const posted = (viewerId: string) =>
    ports.viewers.posted.filter(({ connectionId }) => connectionId === `c-${viewerId}`).map(({ frame }) => frame);
  return { ports, ref, attach, streamPorts, images, posted, unread };
};

describe('what was committed', () => {
  test('reaches viewers in order, as frames they know', async () => {
    const { ports, ref, attach, streamPorts, images, posted } = await setUp();
    await attach('viewer');
    await ingestBatch(ports, ref, batchOf(ref, 1, [message('a'), message('b')]));
    await fanOutEvents(streamPorts, images());
    expect(posted('viewer').map((frame) => ControlToViewerFrame.parse(frame).type)).toEqual(
      Array.from({ length: 3 }, () => 'session_event'),
    );
    expect(posted('viewer')).toMatchObject([{ event: { seq: 1 } }, { event: { seq: 2 } }, { event: { seq: 3 } }]);
  });

  test('reaches a viewer that came since the last batch', async () => {
    const { ports, ref, attach, streamPorts, images, posted } = await setUp();
    await attach('first');
    await fanOutEvents(streamPorts, images());
    await attach('second');
    await ingestBatch(ports, ref, batchOf(ref, 1, [message('news')]));
    await fanOutEvents(streamPorts, images().slice(-1));
    expect(posted('second')).toMatchObject([{ event: { text: 'news' } }]);
  });

  test('costs nothing more than a look where nobody watches', async () => {
    const { ports, streamPorts, images } = await setUp();
    const config = () => Promise.reject(new Error('read'));
    await fanOutEvents({ ...streamPorts, sessions: { ...ports.sessions, config } }, images());
    expect(ports.viewers.posted).toEqual([]);
  });

  test('that comes again is the same frames again, told apart by seq', async () => {
    const { ports, ref, attach, streamPorts, images, posted } = await setUp();
    await attach('viewer');
    await ingestBatch(ports, ref, batchOf(ref, 1, [message('a')]));
    await fanOutEvents(streamPorts, images());
    const once = posted('viewer');
    await fanOutEvents(streamPorts, images());
    expect(posted('viewer')).toEqual([...once, ...once]);
  });

  test.each(['no JSON', 'z1:AAAA', '[{"type":"never heard of"}]', 7])(
    'that cannot be read (%j) is reported, and holds up nothing that follows',
    async (events) => {
      const { ports, ref, attach, streamPorts, images, posted, unread } = await setUp();
      await attach('viewer');
      await ingestBatch(ports, ref, batchOf(ref, 1, [message('a')]));
      const [first] = images();
      if (first === undefined) throw new Error('nothing was committed');
      const poison: Item = { ...first, events };
      await fanOutEvents(streamPorts, [poison, ...images().slice(1)]);
      expect(posted('viewer')).toMatchObject([{ event: { text: 'a' } }]);
      expect(unread).toEqual([`${poison.pk} ${poison.sk}`]);
    },
  );

  test('in a batch whose frames grow when they are written again is read by everybody', async () => {
    const { ports, ref, attach, streamPorts, images, posted, unread } = await setUp();
    await attach('viewer');
    const numbers = {
      type: 'provider_message',
      role: 'assistant',
      text: 'x',
      n: Array.from({ length: 250 }, () => 1e20),
    };
    await ingestBatch(
      ports,
      ref,
      batchOf(
        ref,
        1,
        Array.from({ length: 22 }, () => numbers as never),
      ),
    );
    await fanOutEvents(streamPorts, images());
    expect([posted('viewer').length, unread]).toEqual([23, []]);
    expect(await readEvents(ports.db, ref, 0, 100)).toHaveLength(23);
  });

  test('in the annex or in quarantine is nobody’s news', async () => {
    const { ports, ref, attach, streamPorts, images } = await setUp();
    await attach('viewer');
    await ingestBatch(ports, ref, batchOf(ref, 1, [message('a')]));
    await ingestBatch(ports, ref, batchOf(ref, 1, [message('forged')]));
    const odd = images().filter(({ sk }) => !String(sk).startsWith('SEG#'));
    expect(odd).toHaveLength(1);
    await fanOutEvents(streamPorts, odd);
    expect(ports.viewers.posted).toEqual([]);
  });
});

describe('frames of an event', () => {
  const named = new Set(['session_state_changed', 'approval_requested', 'approval_resolved']);
  test.each(EVENT_TYPES)('%s', (type) => {
    const event = SessionEventSchema.parse(fixture('events', type));
    const frames = framesOf(event, 'agt_00000000000000000000000001');
    for (const frame of frames) expect(ControlToViewerFrame.parse(frame)).toEqual(frame);
    expect(frames.map((frame) => frame.type)).toEqual(named.has(type) ? ['session_event', type] : ['session_event']);
  });
});
