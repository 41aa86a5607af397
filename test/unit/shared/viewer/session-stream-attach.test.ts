/** How a viewer comes to what the terminal shows: attach, replay, and attach again. */
import { describe, expect, it } from 'vitest';
import { VIEWER_HOLD_MS } from '../../../../shared/limits.ts';
import { mockSession } from '../../../e2e/mock/mock-data.ts';
import { fixedRandom } from './fake-socket.ts';
import { attached, output, session, sessionId, setup, textOf } from './session-stream-support.ts';

describe('attaching', () => {
  it('asks from the stream’s first byte, then from where the terminal stands', async () => {
    const { clock, actions, line, sent } = await setup();
    expect(sent('attach')).toMatchObject([{ from: { epoch: 1, offset: 0 }, mode: 'control', cols: 90, rows: 30 }]);
    line().receive(attached());
    line().receive(output(0, 'héllo'));
    line().drop();
    await clock.advance(0);
    line().onopen?.();
    expect(sent('attach').at(-1)).toMatchObject({ from: { epoch: 1, offset: 6 } });
    line().receive(output(0, 'héllo wörld'));
    expect(textOf(actions)).toBe('héllo wörld');
  });

  it('repeats an attach that got no answer', async () => {
    const { clock, sent } = await setup();
    await clock.advance(5_200);
    expect(sent('attach')).toHaveLength(2);
  });

  it('asks sooner, after a back-off that grows, when it is refused for now', async () => {
    const { clock, line, sent } = await setup({ random: fixedRandom(0.99) });
    line().receive({ message: 'Internal server error', connectionId: 'c', requestId: 'r' });
    await clock.advance(400);
    expect(sent('attach')).toHaveLength(2);
    line().receive({ type: 'error', code: 'throttled', message: 'later', requestId: 'r' });
    await clock.advance(400);
    expect(sent('attach')).toHaveLength(2);
    await clock.advance(200);
    expect(sent('attach')).toHaveLength(3);
  });

  it('hands on what was refused for good', async () => {
    const codes: string[] = [];
    const { clock, line, sent } = await setup({ onError: ({ code }) => codes.push(code) });
    line().receive({ type: 'error', code: 'not_found', message: 'no such session', requestId: 'r' });
    expect(codes).toEqual(['not_found']);
    await clock.advance(1_000);
    expect(sent('attach')).toHaveLength(1);
  });

  it('is caught up once a runner was heard since the attach and nothing is missing', async () => {
    const { stream, line } = await setup();
    line().receive(attached({ head: { epoch: 1, offset: 3, seq: 0 } }));
    expect(stream.caughtUp).toBe(false);
    line().receive(output(0, 'ab'));
    expect(stream.caughtUp).toBe(false);
    line().receive(output(2, 'c'));
    expect(stream.caughtUp).toBe(true);
    stream.watchOnly();
    expect(stream.caughtUp).toBe(false);
    const stored = { type: 'head', sessionId, epoch: 1, offset: 3, seq: 0 };
    line().receive({ type: 'pong', ts: 1, heads: [stored] });
    expect(stream.caughtUp).toBe(false);
    line().receive({ type: 'head', sessionId, epoch: 1, offset: 3, seq: 1 });
    expect(stream.caughtUp).toBe(true);
  });

  it('asks again when the head shows that bytes are missing', async () => {
    const { clock, line, sent } = await setup();
    line().receive(attached({ head: { epoch: 1, offset: 3, seq: 0 } }));
    await clock.advance(VIEWER_HOLD_MS + 200);
    expect(sent('attach')).toHaveLength(2);
  });

  it('replays what is stored when no runner is there, and keeps asking until one is', async () => {
    const { clock, stream, line, sent, replays } = await setup();
    line().receive(attached({ live: false, head: { epoch: 1, offset: 9, seq: 0 } }));
    expect(replays()).toBe(1);
    stream.replayed({ epoch: 1, offset: 9 });
    await clock.advance(5_200);
    expect(sent('attach').at(-1)).toMatchObject({ from: { epoch: 1, offset: 9 } });
  });

  it('between two epochs replays what the last one stored, once, and goes on with the next', async () => {
    const { clock, stream, line, sent, replays, actions } = await setup({}, { from: { epoch: 2, offset: 0 } });
    const between = attached({ live: false, head: { epoch: 2, offset: 0, seq: 9 } });
    line().receive(between);
    expect(replays()).toBe(1);
    stream.replayed({ epoch: 1, offset: 5_000 });
    await clock.advance(5_200);
    expect(sent('attach').at(-1)).toMatchObject({ from: { epoch: 1, offset: 5_000 } });
    line().receive(between);
    expect(replays()).toBe(1);
    line().receive(attached({ live: true, head: { epoch: 2, offset: 0, seq: 10 } }));
    line().receive({ ...output(0, 'next'), epoch: 2 });
    expect(actions.map(({ kind }) => kind)).toContain('divide');
    expect(stream.address).toEqual({ epoch: 2, offset: 4 });
  });

  it('that was cut off before the end of an epoch replays the rest of it', async () => {
    const { stream, line, replays } = await setup();
    line().receive(attached({ head: { epoch: 1, offset: 2, seq: 0 } }));
    line().receive(output(0, 'ab'));
    expect(stream.address).toEqual({ epoch: 1, offset: 2 });
    line().receive(attached({ live: false, head: { epoch: 2, offset: 0, seq: 9 } }));
    expect(replays()).toBe(1);
  });

  it('leaves an ended session alone once it shows everything', async () => {
    const { clock, line, sent, replays } = await setup();
    line().receive(attached({ live: false, session: { ...session, state: 'completed' } }));
    await clock.advance(60_000);
    expect(sent('attach')).toHaveLength(1);
    expect(replays()).toBe(0);
  });

  it('ignores frames of other sessions and of other viewers', async () => {
    const { actions, line } = await setup();
    line().receive(attached());
    line().receive({ ...output(0, 'x'), sessionId: mockSession(2).sessionId });
    const snapshot = {
      snapshotId: 's',
      part: 0,
      parts: 1,
      epoch: 1,
      offset: 9,
      sizeRev: 1,
      cols: 90,
      rows: 30,
      data: 'y',
    };
    line().receive({ type: 'terminal_snapshot', sessionId, viewerId: 'someone', ...snapshot });
    expect(actions).toEqual([]);
  });
});
