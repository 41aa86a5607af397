/** One viewer of one session against a played control plane: attach, input, control, re-attach, slow terminals. */
import { describe, expect, it } from 'vitest';
import {
  INPUT_SILENCE_MS,
  VIEWER_DOUBT_MS,
  VIEWER_HOLD_MS,
  VIEWER_PROBE_DEADLINE_MS,
  VIEWER_WRITE_QUEUE_MAX_CHARS,
} from '../../../../shared/limits.ts';
import type { StreamAddress } from '../../../../shared/session.ts';
import type { InputLoss } from '../../../../shared/viewer/input-sender.ts';
import { SessionStream } from '../../../../shared/viewer/session-stream.ts';
import type { SessionStreamPorts } from '../../../../shared/viewer/stream-view.ts';
import type { TerminalAction } from '../../../../shared/viewer/terminal-assembler.ts';
import { mockSession } from '../../../e2e/mock/mock-data.ts';
import { FakeSocket, fixedRandom, HandClock, settle } from './fake-socket.ts';

const session = mockSession(1);
const { sessionId } = session;
const VIEWER = 'viewer-1';

const setup = async (
  over: Partial<SessionStreamPorts> = {},
  start: { takeOver?: boolean; from?: StreamAddress } = {},
) => {
  const clock = new HandClock();
  const sockets: FakeSocket[] = [];
  const actions: TerminalAction[] = [];
  const losses: InputLoss[] = [];
  let replays = 0;
  let pendingChars = 0;
  const stream = new SessionStream(
    {
      sessionId,
      viewerId: VIEWER,
      mode: 'control',
      size: { cols: 90, rows: 30 },
      from: { epoch: 1, offset: 0 },
      ...start,
    },
    {
      clock,
      random: fixedRandom(0),
      ticket: async () => ({ kind: 'ticket', ticket: 't' }),
      dial: (protocols) => {
        const socket = new FakeSocket(protocols);
        sockets.push(socket);
        return socket;
      },
      terminal: {
        apply: (more) => actions.push(...more),
        clear: () => actions.splice(0),
        pendingChars: () => pendingChars,
      },
      onView: () => {},
      onAttached: () => {},
      onStateChange: () => {},
      onEvent: () => {},
      onInputLoss: (loss) => losses.push(loss),
      onNotLive: () => {
        replays += 1;
      },
      ...over,
    },
  );
  stream.start();
  await settle();
  const line = () => {
    const socket = sockets.at(-1);
    if (socket === undefined) throw new Error('nothing was dialled');
    return socket;
  };
  const sent = (type: string) => sockets.flatMap((socket) => socket.sent).filter((frame) => frame.type === type);
  const slow = (chars: number) => {
    pendingChars = chars;
  };
  line().onopen?.();
  return { clock, stream, sockets, actions, losses, line, sent, slow, replays: () => replays };
};

const attached = (over: Record<string, unknown> = {}) => ({
  type: 'attached',
  sessionId,
  viewerId: VIEWER,
  session,
  live: true,
  head: { epoch: 1, offset: 0, seq: 0 },
  mode: 'control',
  view: 'signed',
  rev: 1,
  viewers: [],
  controllerId: VIEWER,
  controlTerm: 1,
  ...over,
});
const output = (offset: number, data: string) => ({
  type: 'terminal_output',
  sessionId,
  epoch: 1,
  agentId: session.agentId,
  stream: 'stdout',
  offset,
  sizeRev: 1,
  cols: 90,
  rows: 30,
  seq: 0,
  ts: 0,
  data,
});
const textOf = (actions: readonly TerminalAction[]) =>
  actions.flatMap((action) => (action.kind === 'write' ? [action.data] : [])).join('');

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
