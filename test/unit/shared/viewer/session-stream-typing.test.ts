/** What a person types: numbered, resent, kept over cuts and epochs, or told as lost. */
import { describe, expect, it } from 'vitest';
import { INPUT_SILENCE_MS, VIEWER_DOUBT_MS, VIEWER_PROBE_DEADLINE_MS } from '../../../../shared/limits.ts';
import { attached, output, sessionId, setup, VIEWER } from './session-stream-support.ts';

describe('typing', () => {
  it('sends numbered input with the view and term it was given', async () => {
    const { stream, line, sent } = await setup();
    line().receive(attached({ controlTerm: 4 }));
    stream.type('ls\r');
    expect(sent('input')).toEqual([
      {
        type: 'input',
        sessionId,
        viewerId: VIEWER,
        view: 'signed',
        controlTerm: 4,
        epoch: 1,
        inputSeq: 1,
        data: 'ls\r',
      },
    ]);
  });

  it('resends after a cut within the same term, and only then', async () => {
    const { clock, stream, line, losses } = await setup();
    line().receive(attached());
    stream.type('a');
    line().drop();
    await clock.advance(0);
    line().onopen?.();
    line().receive(attached());
    expect(line().sent.filter((frame) => frame.type === 'input')).toMatchObject([{ inputSeq: 1, data: 'a' }]);
    line().drop();
    await clock.advance(250);
    line().onopen?.();
    line().receive(attached({ controllerId: 'someone', controlTerm: 2, mode: 'watch' }));
    expect(line().sent.filter((frame) => frame.type === 'input')).toEqual([]);
    expect(losses).toEqual([{ characters: 1, text: 'a', reason: 'control_moved' }]);
  });

  it('sends what waited when an ack comes, and the rest before it leaves', async () => {
    const { stream, line, sent } = await setup();
    line().receive(attached());
    for (let key = 0; key < 40; key += 1) stream.type('k');
    const before = sent('input').length;
    expect(before).toBeLessThan(40);
    line().receive({ type: 'input_ack', sessionId, epoch: 1, viewerId: VIEWER, controlTerm: 1, inputSeq: 1 });
    for (const key of ['e', 'n', 'd']) stream.type(key);
    stream.stop();
    expect(sent('input').map(({ data }) => data)).toEqual([...Array(before).fill('k'), 'k'.repeat(40 - before), 'end']);
    expect(line().sent.at(-1)).toMatchObject({ type: 'detach' });
  });

  it('tells the person what an input_reset cost', async () => {
    const { stream, line, losses } = await setup();
    line().receive(attached());
    stream.type('abc');
    line().receive({
      type: 'input_reset',
      sessionId,
      epoch: 1,
      viewerId: VIEWER,
      controlTerm: 1,
      expected: 1_001,
      reason: 'not_running',
    });
    expect(losses).toEqual([{ characters: 3, text: 'abc', reason: 'not_running' }]);
  });

  it('watches instead of fighting when somebody took over', async () => {
    const { clock, stream, line, sent } = await setup();
    line().receive(attached());
    line().receive({ type: 'presence', sessionId, rev: 1, viewers: [], controllerId: 'someone', controlTerm: 2 });
    stream.type('x');
    expect(sent('input')).toEqual([]);
    line().drop();
    await clock.advance(0);
    line().onopen?.();
    expect(sent('attach').at(-1)).toMatchObject({ mode: 'watch', takeOver: false });
    stream.takeControl();
    expect(sent('attach').at(-1)).toMatchObject({ mode: 'control', takeOver: true });
  });
});

describe('a cut', () => {
  it('is told with what it cost, and what was typed meanwhile shows as waiting', async () => {
    const { clock, stream, line } = await setup();
    line().receive(attached({ head: { epoch: 1, offset: 0, seq: 4 } }));
    line().receive({ type: 'head', sessionId, epoch: 1, offset: 0, seq: 0 });
    expect(stream.view.recovered).toBeNull();
    line().drop();
    stream.type('kept');
    expect(stream.view.pendingChars).toBe(4);
    await clock.advance(0);
    line().onopen?.();
    line().receive(attached({ head: { epoch: 1, offset: 3, seq: 9 } }));
    expect(stream.view.recovered).toBeNull();
    line().receive(output(0, 'abc'));
    expect(stream.view.recovered).toMatchObject({ events: 5, headSeq: 9 });
    line().receive({ type: 'input_ack', sessionId, epoch: 1, viewerId: VIEWER, controlTerm: 1, inputSeq: 1 });
    expect(stream.view.pendingChars).toBe(0);
    line().drop();
    expect(stream.view.recovered).toBeNull();
  });

  it('that nobody told of is found by typing that stays without an answer', async () => {
    const { clock, stream, line, sent, sockets } = await setup();
    line().receive(attached());
    stream.type('a');
    await clock.advance(INPUT_SILENCE_MS - 200);
    expect(sent('ping')).toEqual([]);
    await clock.advance(400);
    expect(sent('ping')).toHaveLength(1);
    expect(stream.view.pendingChars).toBe(1);
    await clock.advance(VIEWER_DOUBT_MS);
    expect(stream.view.socket).toEqual({ kind: 'open', doubtful: true });
    await clock.advance(VIEWER_PROBE_DEADLINE_MS - VIEWER_DOUBT_MS);
    expect(sockets).toHaveLength(2);
  });
});

describe('without a runner', () => {
  it('typing waits instead of being sent into nothing, and goes out when the runner is back', async () => {
    const { clock, stream, line, sent } = await setup();
    line().receive(attached());
    line().receive(attached({ rev: 2, live: false }));
    stream.type('ls');
    await clock.advance(1_000);
    expect(sent('input')).toEqual([]);
    expect(stream.view.pendingChars).toBe(2);
    line().receive(output(0, '$ '));
    expect(sent('input')).toMatchObject([{ data: 'ls', epoch: 1 }]);
  });
});

describe('a later epoch', () => {
  it('gets nothing that was typed before it, and is numbered anew', async () => {
    const { stream, line, sent, losses } = await setup();
    line().receive(attached());
    stream.type('y');
    line().receive({ ...output(0, 'new'), epoch: 2 });
    expect(losses).toEqual([{ characters: 1, text: 'y', reason: 'moved_on' }]);
    line().receive({ type: 'input_ack', sessionId, epoch: 1, viewerId: VIEWER, controlTerm: 1, inputSeq: 1 });
    stream.type('z');
    expect(sent('input').at(-1)).toMatchObject({ data: 'z', inputSeq: 1, epoch: 2 });
    expect(stream.view.pendingChars).toBe(0);
  });
});
