/** The viewer's line comes back by itself, is never shut by one bad frame, and notices when it died silently. */
import { describe, expect, it } from 'vitest';
import { VIEWER_SUBPROTOCOL } from '../../../../shared/frames.ts';
import {
  PING_INTERVAL_MS,
  RECONNECT_BASE_MS,
  RECONNECT_MAX_MS,
  VIEWER_DOUBT_MS,
  VIEWER_PROBE_DEADLINE_MS,
  VIEWER_QUIET_MS,
} from '../../../../shared/limits.ts';
import { type SocketState, type TicketResult, ViewerSocket } from '../../../../shared/viewer/viewer-socket.ts';
import { FakeSocket, fixedRandom, HandClock, settle } from './fake-socket.ts';

const setup = (
  ticket: () => Promise<TicketResult> = async () => ({ kind: 'ticket', ticket: 'secret' }),
  random = 1,
) => {
  const clock = new HandClock();
  const sockets: FakeSocket[] = [];
  const states: SocketState['kind'][] = [];
  const problems: string[] = [];
  const frames: string[] = [];
  let opened = 0;
  const socket = new ViewerSocket({
    clock,
    random: fixedRandom(random),
    ticket,
    dial: (protocols) => {
      const fake = new FakeSocket(protocols);
      sockets.push(fake);
      return fake;
    },
    onOpen: () => {
      opened += 1;
    },
    onFrame: (frame) => frames.push(frame.type),
    onState: (state) => states.push(state.kind),
    onProblem: (problem) => problems.push(`${problem.kind}: ${problem.message}`),
    pingTargets: () => [{ sessionId: `ses_${'0'.repeat(26)}`, viewerId: 'viewer' }],
  });
  const last = (): FakeSocket => {
    const fake = sockets.at(-1);
    if (fake === undefined) throw new Error('nothing was dialled');
    return fake;
  };
  return { clock, socket, sockets, states, problems, frames, last, opened: () => opened };
};
const opened = async () => {
  const line = setup();
  line.socket.start();
  await settle();
  line.last().onopen?.();
  return line;
};
const pong = { type: 'pong', ts: 1, heads: [] };

describe('dialling', () => {
  it('carries the ticket as the second subprotocol only', async () => {
    const line = await opened();
    expect(line.last().protocols).toEqual([VIEWER_SUBPROTOCOL, 'ticket.secret']);
    expect(line.opened()).toBe(1);
    expect(line.states).toEqual(['connecting', 'open']);
  });

  it('stops at signed out, since a retry cannot help', async () => {
    const line = setup(async () => ({ kind: 'signed_out' }));
    line.socket.start();
    await line.clock.advance(60_000);
    expect(line.states).toEqual(['connecting', 'signed_out']);
    expect(line.sockets).toEqual([]);
  });

  it('gives up a dial that never answers', async () => {
    const line = setup();
    line.socket.start();
    await line.clock.advance(15_000);
    expect(line.socket.state.kind).toBe('waiting');
    expect(line.last().closed).toBe(true);
  });
});

describe('reconnecting', () => {
  it('waits ever longer, up to the cap, and says until when', async () => {
    const line = setup(async () => ({ kind: 'failed', message: 'down' }));
    line.socket.start();
    const waits: number[] = [];
    for (let attempt = 0; attempt < 10; attempt += 1) {
      await settle();
      const { state } = line.socket;
      if (state.kind !== 'waiting') throw new Error(`not waiting but ${state.kind}`);
      waits.push(state.retryAtMs - line.clock.nowMs());
      await line.clock.advance(state.retryAtMs - line.clock.nowMs());
    }
    expect(waits.slice(0, 3)).toEqual([RECONNECT_BASE_MS, RECONNECT_BASE_MS * 2, RECONNECT_BASE_MS * 4]);
    expect(waits.at(-1)).toBe(RECONNECT_MAX_MS);
  });

  it('uses the whole range of the jitter', async () => {
    const line = setup(async () => ({ kind: 'failed', message: 'down' }), 0);
    line.socket.start();
    await settle();
    expect(line.socket.state).toMatchObject({ kind: 'waiting', retryAtMs: line.clock.nowMs() });
  });

  it('gets a new ticket for each dial and ignores the old socket', async () => {
    const line = await opened();
    const old = line.last();
    old.drop();
    await line.clock.advance(RECONNECT_BASE_MS);
    line.last().onopen?.();
    old.receive(pong);
    old.drop();
    expect(line.sockets).toHaveLength(2);
    expect(line.frames).toEqual([]);
    expect(line.socket.state.kind).toBe('open');
  });

  it('starts with a short wait again only after a line held', async () => {
    const line = await opened();
    line.last().drop();
    await line.clock.advance(RECONNECT_BASE_MS);
    line.last().onopen?.();
    line.last().drop();
    expect(line.socket.state).toMatchObject({ attempt: 2 });
    await line.clock.advance(RECONNECT_BASE_MS * 2);
    line.last().onopen?.();
    await line.clock.advance(10_000);
    line.last().drop();
    expect(line.socket.state).toMatchObject({ attempt: 1 });
  });

  it('tries at once when woken', async () => {
    const line = await opened();
    line.last().drop();
    line.socket.wake();
    await settle();
    expect(line.sockets).toHaveLength(2);
  });
});

describe('the open line', () => {
  it('pings every five minutes and dials anew when no pong comes', async () => {
    const line = await opened();
    await line.clock.advance(PING_INTERVAL_MS);
    expect(line.last().sent).toMatchObject([{ type: 'ping', attached: [{ viewerId: 'viewer' }] }]);
    line.last().receive(pong);
    await line.clock.advance(PING_INTERVAL_MS);
    expect(line.socket.state.kind).toBe('open');
    await line.clock.advance(VIEWER_PROBE_DEADLINE_MS);
    expect(line.socket.state).toMatchObject({ kind: 'waiting', why: 'no answer' });
  });

  it('shows the doubt of a probe that is not answered, and takes it back with any frame', async () => {
    const line = await opened();
    line.socket.probe();
    await line.clock.advance(VIEWER_DOUBT_MS - 1);
    expect(line.socket.state).toEqual({ kind: 'open', doubtful: false });
    await line.clock.advance(1);
    expect(line.socket.state).toEqual({ kind: 'open', doubtful: true });
    line.last().receive({ type: 'head', sessionId: `ses_${'0'.repeat(26)}`, epoch: 1, offset: 3, seq: 0 });
    expect(line.socket.state).toEqual({ kind: 'open', doubtful: false });
    await line.clock.advance(VIEWER_PROBE_DEADLINE_MS);
    expect(line.socket.state.kind).toBe('open');
  });

  it('is in doubt at once when the device says that it lost its network, and asks twice before it dials', async () => {
    const line = await opened();
    line.socket.probe(true);
    expect(line.socket.state).toEqual({ kind: 'open', doubtful: true });
    line.socket.probe(true);
    await line.clock.advance(VIEWER_PROBE_DEADLINE_MS - 1);
    expect(line.last().sent.map(({ type }) => type)).toEqual(['ping', 'ping']);
    await line.clock.advance(1);
    expect(line.socket.state.kind).toBe('waiting');
  });

  it('is probed by what a person does only after a long silence', async () => {
    const line = await opened();
    await line.clock.advance(VIEWER_QUIET_MS - 1);
    line.socket.attend();
    expect(line.last().sent).toEqual([]);
    await line.clock.advance(1);
    line.socket.attend();
    line.socket.attend();
    expect(line.last().sent).toHaveLength(1);
    line.last().receive(pong);
    line.socket.attend();
    expect(line.last().sent).toHaveLength(1);
  });

  it('tells of what it cannot read and goes on', async () => {
    const line = await opened();
    line.last().receive('not json');
    line.last().receive({ message: 'Internal server error', connectionId: 'c', requestId: 'r' });
    line.last().receive({ type: 'from_the_future' });
    line.last().onmessage?.({ data: new ArrayBuffer(1) });
    line.last().receive(pong);
    expect(line.problems.map((problem) => problem.split(':')[0])).toEqual([
      'unreadable',
      'gateway',
      'unreadable',
      'unreadable',
    ]);
    expect(line.frames).toEqual(['pong']);
  });

  it('sends nothing while it is not open', async () => {
    const line = await opened();
    line.last().drop();
    expect(line.socket.send({ type: 'ping', ts: 1, attached: [] })).toBe(false);
  });

  it('ends for good when stopped', async () => {
    const line = await opened();
    line.socket.stop();
    await line.clock.advance(120_000);
    expect(line.sockets).toHaveLength(1);
    expect(line.last().closed).toBe(true);
  });
});
