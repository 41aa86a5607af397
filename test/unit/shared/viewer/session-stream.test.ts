/** Who leads, who is here, whose size counts, and a terminal that is too slow. */
import { describe, expect, it } from 'vitest';
import { VIEWER_WRITE_QUEUE_MAX_CHARS } from '../../../../shared/limits.ts';
import { attached, output, sessionId, setup, VIEWER } from './session-stream-support.ts';

describe('taking over', () => {
  it('is asked for until it is answered, and not again after a cut', async () => {
    const { clock, line, sent } = await setup({}, { takeOver: true });
    await clock.advance(5_200);
    expect(sent('attach')).toMatchObject([{ takeOver: true }, { takeOver: true }]);
    line().receive(attached());
    line().drop();
    await clock.advance(0);
    line().onopen?.();
    expect(sent('attach').at(-1)).toMatchObject({ takeOver: false });
  });
});

describe('presence', () => {
  it('that was overtaken gives control to nobody', async () => {
    const { stream, line, sent } = await setup();
    line().receive(attached({ rev: 8, controlTerm: 5 }));
    line().receive({ type: 'presence', sessionId, rev: 7, viewers: [], controllerId: 'someone', controlTerm: 4 });
    stream.type('x');
    expect(sent('input')).toMatchObject([{ controlTerm: 5 }]);
  });

  it('that was overtaken brings nobody back who left in the same term', async () => {
    const { stream, line } = await setup();
    const gone = { viewerId: 'gone', mode: 'watch', userId: 'grace', sinceMs: 1, device: '' };
    line().receive(attached({ rev: 3 }));
    const presence = { type: 'presence', sessionId, controllerId: VIEWER, controlTerm: 1 };
    line().receive({ ...presence, rev: 5, viewers: [] });
    line().receive({ ...presence, rev: 4, viewers: [gone] });
    expect(stream.view.presence).toEqual([]);
    line().receive({ ...presence, rev: 6, viewers: [gone] });
    expect(stream.view.presence).toEqual([gone]);
  });
});

describe('sizes', () => {
  it('sends the controller’s with rising revisions, a watcher’s never', async () => {
    const { stream, line, sent } = await setup();
    stream.resize({ cols: 100, rows: 30 });
    expect(sent('resize')).toEqual([]);
    line().receive(attached());
    stream.resize({ cols: 101, rows: 30 });
    stream.resize({ cols: 101, rows: 30 });
    const resizes = sent('resize');
    expect(resizes.map(({ cols }) => cols)).toEqual([100, 101]);
    expect(Number(resizes[1]?.rev)).toBeGreaterThan(Number(resizes[0]?.rev));
  });
});

describe('a size that did not arrive', () => {
  it('is asked for again, once for each stretch in which the stream shows another', async () => {
    const { clock, line, sent } = await setup();
    line().receive(attached());
    expect(sent('resize')).toHaveLength(1);
    line().receive({ ...output(0, 'a'), cols: 80 });
    await clock.advance(400);
    expect(sent('resize')).toHaveLength(1);
    await clock.advance(10_000);
    expect(sent('resize')).toHaveLength(2);
    line().receive({ ...output(1, 'b'), sizeRev: 2 });
    await clock.advance(10_000);
    expect(sent('resize')).toHaveLength(2);
  });

  it('needs nothing when it comes late but in time', async () => {
    const { clock, line, sent } = await setup();
    line().receive(attached());
    line().receive({ ...output(0, 'a'), cols: 80 });
    line().receive({ ...output(1, 'b'), sizeRev: 2 });
    await clock.advance(10_000);
    expect(sent('resize')).toHaveLength(1);
  });
});

describe('a terminal that cannot keep up', () => {
  it('drops what waits and asks for the screen as it is now', async () => {
    const { line, sent, slow } = await setup();
    line().receive(attached());
    slow(VIEWER_WRITE_QUEUE_MAX_CHARS + 1);
    line().receive(output(0, 'x'));
    expect(sent('attach').at(-1)).not.toHaveProperty('from');
  });
});

describe('asking for the keyboard', () => {
  const watching = { controllerId: 'grace', mode: 'watch' };
  const grace = { viewerId: 'grace', mode: 'control', userId: 'grace', sinceMs: 1, device: '' };

  it('asks who leads, takes what nobody has, and answers who asks', async () => {
    const { stream, line, sent } = await setup();
    line().receive(attached({ ...watching, viewers: [grace] }));
    stream.askControl();
    expect(sent('control_request')).toMatchObject([{ wanted: true, view: 'signed' }]);
    expect(stream.view.asking).toBe('waiting');
    stream.stopAsking();
    expect(sent('control_request').at(-1)).toMatchObject({ wanted: false });
    line().receive({ type: 'presence', sessionId, rev: 2, viewers: [], controllerId: 'grace', controlTerm: 1 });
    stream.askControl();
    expect(sent('attach').at(-1)).toMatchObject({ mode: 'control', takeOver: true });
    const request = { viewerId: 'grace', sinceMs: 1, declined: false };
    line().receive(attached({ rev: 3, controlTerm: 2, viewers: [grace], request }));
    expect(stream.view.askedBy).toMatchObject({ userId: 'grace' });
    stream.answerControl(true);
    expect(sent('control_answer')).toMatchObject([{ toViewerId: 'grace', controlTerm: 2, allow: true }]);
  });
});
