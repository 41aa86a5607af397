import { describe, expect, test } from 'vitest';
import { viewerFanOut } from '../../../../functions/streams/viewer-fan-out.ts';
import type { ControlToViewerFrame } from '../../../../shared/frames.ts';
import { controlPlanePorts, startedSession, type TestPorts } from '../../../fakes/control-plane-ports.ts';

const setUp = async () => {
  const ports = controlPlanePorts();
  const ref = await startedSession(ports);
  await ports.runners.set(ref, { connectionId: 'runner', epoch: 1, dial: 1 });
  const attach = (viewerId: string, connectionId = `c-${viewerId}`) =>
    ports.watchers.attach(
      ref,
      { viewerId, connectionId, userId: 'ada', mode: 'watch', sinceMs: ports.clock.nowMs() },
      false,
    );
  /** Another process: the same tables, a memory of its own. */
  const fanOut = viewerFanOut({ ...ports, epochOf: ports.sessions.epochOf });
  return { ports, ref, attach, fanOut };
};
type Ref = Awaited<ReturnType<typeof startedSession>>;
const headFrame = (ref: Ref, seq = 1): ControlToViewerFrame => ({
  type: 'head',
  sessionId: ref.sessionId,
  epoch: 1,
  offset: 0,
  seq,
});
const receivers = (ports: TestPorts, type: string) =>
  ports.viewers.posted.filter(({ frame }) => frame.type === type).map(({ connectionId }) => connectionId);

describe('a frame for all', () => {
  test('reaches each viewer once, also of many', async () => {
    const { ports, ref, attach, fanOut } = await setUp();
    for (let index = 0; index < 100; index += 1) await attach(`viewer-${index}`);
    await fanOut.toAll(ref, headFrame(ref), 0);
    expect(new Set(receivers(ports, 'head')).size).toBe(100);
    expect(receivers(ports, 'head')).toHaveLength(100);
  });

  test('a remembered list below the revision of the frame is read again: a new viewer misses none', async () => {
    const { ports, ref, attach, fanOut } = await setUp();
    const first = await attach('first');
    await fanOut.toAll(ref, headFrame(ref), first?.control.rev ?? 0);
    const second = await attach('second');
    await fanOut.toAll(ref, headFrame(ref), first?.control.rev ?? 0);
    expect(receivers(ports, 'head')).toEqual(['c-first', 'c-first']);
    await fanOut.toAll(ref, headFrame(ref), second?.control.rev ?? 0);
    expect(receivers(ports, 'head').slice(2)).toEqual(['c-first', 'c-second']);
  });

  test('a list of the revision is read once and remembered for a moment', async () => {
    const { ports, ref, attach } = await setUp();
    const list = await attach('first');
    let reads = 0;
    const read = (of: Ref) => {
      reads += 1;
      return ports.watchers.read(of);
    };
    const counted = { ...ports.watchers, read };
    const fanOut = viewerFanOut({ ...ports, epochOf: ports.sessions.epochOf, watchers: counted });
    for (let seq = 0; seq < 10; seq += 1) await fanOut.toAll(ref, headFrame(ref, seq), list?.control.rev ?? 0);
    expect(reads).toBe(1);
    ports.clock.advance(60_000);
    await fanOut.toAll(ref, headFrame(ref), 0);
    expect(reads).toBe(2);
  });

  test('whose connection is gone is detached, and runner and viewers are told', async () => {
    const { ports, ref, attach, fanOut } = await setUp();
    await attach('stays');
    await attach('left');
    ports.viewers.answers.set('c-left', 'gone');
    await fanOut.toAll(ref, headFrame(ref), 0);
    expect((await ports.watchers.read(ref)).viewers.map(({ viewerId }) => viewerId)).toEqual(['stays']);
    expect(ports.runnerSender.posted.at(-1)?.frame).toMatchObject({
      type: 'viewers',
      viewers: [{ viewerId: 'stays' }],
    });
    expect(ports.viewers.posted.at(-1)).toMatchObject({
      connectionId: 'c-stays',
      frame: { type: 'presence', viewers: [{ viewerId: 'stays' }] },
    });
  });

  test.each(['slow', 'too_large'] as const)('whose connection is %s misses this frame alone', async (answer) => {
    const { ports, ref, attach, fanOut } = await setUp();
    await attach('quick');
    await attach('stuck');
    ports.viewers.answers.set('c-stuck', answer);
    await fanOut.toAll(ref, headFrame(ref, 1), 0);
    ports.viewers.answers.delete('c-stuck');
    await fanOut.toAll(ref, headFrame(ref, 2), 0);
    expect(receivers(ports, 'head').sort()).toEqual(['c-quick', 'c-quick', 'c-stuck']);
    expect((await ports.watchers.read(ref)).viewers).toHaveLength(2);
  });

  test('who came back on another connection gets it there, though the remembered one is gone', async () => {
    const { ports, ref, attach, fanOut } = await setUp();
    await attach('viewer', 'old');
    await fanOut.toAll(ref, headFrame(ref, 1), 0);
    await attach('viewer', 'new');
    ports.viewers.answers.set('old', 'gone');
    await fanOut.toAll(ref, headFrame(ref, 2), 0);
    expect(receivers(ports, 'head')).toEqual(['old', 'new']);
    expect((await ports.watchers.read(ref)).viewers).toMatchObject([{ connectionId: 'new' }]);
  });
});

describe('a frame for one', () => {
  test('reaches that viewer alone, also one that the memory does not know yet', async () => {
    const { ports, ref, attach, fanOut } = await setUp();
    await attach('first');
    await fanOut.toAll(ref, headFrame(ref), 0);
    await attach('second');
    await fanOut.toOne(ref, 'second', headFrame(ref), 0);
    expect(receivers(ports, 'head')).toEqual(['c-first', 'c-second']);
  });

  test('follows its viewer to a new connection', async () => {
    const { ports, ref, attach, fanOut } = await setUp();
    await attach('viewer', 'old');
    await fanOut.toOne(ref, 'viewer', headFrame(ref), 0);
    await attach('viewer', 'new');
    ports.viewers.answers.set('old', 'gone');
    await fanOut.toOne(ref, 'viewer', headFrame(ref), 0);
    expect(receivers(ports, 'head')).toEqual(['old', 'new']);
  });

  test('goes nowhere when that viewer is not here', async () => {
    const { ports, ref, attach, fanOut } = await setUp();
    await attach('first');
    await fanOut.toOne(ref, 'nobody', headFrame(ref), 0);
    expect(receivers(ports, 'head')).toEqual([]);
  });
});

describe('a post that fails', () => {
  test('is reported once everybody else has the frame', async () => {
    const { ports, ref, attach, fanOut } = await setUp();
    await attach('first');
    await attach('second');
    const post = ports.viewers.post;
    ports.viewers.post = async (connectionId, frame) => {
      if (connectionId === 'c-first' && frame.type === 'head') throw new Error('forbidden');
      return post(connectionId, frame);
    };
    await expect(fanOut.toAll(ref, headFrame(ref), 0)).rejects.toThrow('forbidden');
    expect(receivers(ports, 'head')).toEqual(['c-second']);
  });
});
