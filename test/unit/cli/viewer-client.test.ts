/** What the command line adds to a viewer's stream: when it gives up, and what it tells a command. */
import { expect, it, vi } from 'vitest';
import { CliError } from '../../../cli/cli-error.ts';
import { ViewerClient, type ViewerClientOptions } from '../../../cli/viewer/viewer-client.ts';
import { mockSession } from '../../e2e/mock/mock-data.ts';
import { FakeSocket, fixedRandom, HandClock, settle } from '../shared/viewer/fake-socket.ts';

const session = mockSession(1);
const { sessionId } = session;
const SIZE = { cols: 80, rows: 24 };

const setUp = async (over: Partial<ViewerClientOptions> = {}) => {
  const clock = new HandClock();
  const sockets: FakeSocket[] = [];
  const screen: string[] = [];
  const told: string[] = [];
  const ticket = vi.fn(async () => 't');
  const viewer = new ViewerClient({
    line: {
      ticket,
      dial: (protocols) => {
        const socket = new FakeSocket(protocols);
        sockets.push(socket);
        return socket;
      },
    },
    sessionId,
    mode: 'control',
    size: SIZE,
    terminal: {
      apply: (actions) => {
        for (const action of actions) if (action.kind === 'write') screen.push(action.data);
      },
      clear: () => {},
      pendingChars: () => 0,
    },
    onInputLost: (reason) => told.push(reason),
    onConnection: (state, why) => told.push(why === undefined ? state : `${state}: ${why}`),
    onStateChange: ({ toState }) => told.push(toState),
    clock,
    random: fixedRandom(0),
    ...over,
  });
  const line = async () => {
    await settle();
    const socket = sockets.at(-1);
    if (socket === undefined) throw new Error('nothing was dialled');
    if (socket.sent.length === 0) socket.onopen?.();
    return socket;
  };
  const attached = (controlTerm = 1, offset = 0, controllerId = viewer.viewerId) => ({
    type: 'attached',
    sessionId,
    viewerId: viewer.viewerId,
    session,
    live: true,
    head: { epoch: 1, offset, seq: 1 },
    mode: 'control',
    view: 'signed',
    rev: 1,
    viewers: [],
    controllerId,
    controlTerm,
  });
  return { viewer, clock, ticket, line, attached, screen, told };
};
const output = (offset: number, data: string) => ({
  type: 'terminal_output',
  sessionId,
  epoch: 1,
  agentId: session.agentId,
  stream: 'stdout',
  offset,
  sizeRev: 0,
  ...SIZE,
  seq: 1,
  ts: 1,
  data,
});

it('attaches, shows output, says when it is cut, and comes back from where it was', async () => {
  const { viewer, clock, line, attached, screen, told } = await setUp();
  const first = await line();
  expect(first.protocols.at(-1)).toMatch(/t$/);
  expect(first.sent[0]).toMatchObject({ type: 'attach', sessionId, mode: 'control', ...SIZE });
  expect(first.sent[0]).not.toHaveProperty('from');
  first.receive(attached());
  first.receive(output(0, 'hello'));
  expect(viewer.position).toEqual({ epoch: 1, offset: 5 });
  expect(viewer.isCaughtUp).toBe(true);
  first.drop();
  await clock.advance(0);
  const second = await line();
  expect(second.sent[0]).toMatchObject({ type: 'attach', from: { epoch: 1, offset: 5 } });
  second.receive(attached(1, 5));
  second.receive(output(3, 'lo!'));
  expect(screen.join('')).toBe('hello!');
  expect(told).toEqual(['connected', 'reconnecting: closed (1006)', 'connected']);
  viewer.close();
});

it('goes on from what the command has played already', async () => {
  const { viewer, line, attached, screen } = await setUp({ from: { epoch: 1, offset: 100 } });
  const first = await line();
  expect(first.sent[0]).toMatchObject({ type: 'attach', from: { epoch: 1, offset: 100 } });
  first.receive(attached(1, 104));
  expect(viewer.isCaughtUp).toBe(false);
  first.receive(output(98, '..live'));
  expect(screen).toEqual(['live']);
  expect(viewer.isCaughtUp).toBe(true);
  viewer.close();
});

it('tells of keys that did not arrive, and of the session’s end', async () => {
  const { viewer, line, attached, told } = await setUp();
  viewer.input('too early');
  const first = await line();
  first.receive(attached(4));
  viewer.input('a');
  first.receive({ type: 'presence', sessionId, rev: 1, viewers: [], controllerId: 'somebody', controlTerm: 5 });
  viewer.input('x');
  expect(first.sent.filter(({ type }) => type === 'input')).toMatchObject([{ controlTerm: 4, inputSeq: 1, data: 'a' }]);
  first.receive({
    type: 'session_state_changed',
    sessionId,
    agentId: session.agentId,
    epoch: 1,
    fromState: 'running',
    toState: 'completed',
    reason: null,
    ts: 1,
    seq: 1,
  });
  expect(told).toEqual(['not_controller', 'connected', 'control_moved', 'not_controller', 'completed']);
  viewer.close();
});

it('tells when it leaves, and does nothing after', async () => {
  const { viewer, clock, ticket, line, attached } = await setUp();
  const first = await line();
  first.receive(attached());
  viewer.close();
  expect(first.sent.at(-1)).toMatchObject({ type: 'detach', viewerId: viewer.viewerId });
  expect(first.closed).toBe(true);
  await expect(viewer.done).resolves.toBeUndefined();
  await clock.advance(60_000);
  expect(ticket).toHaveBeenCalledTimes(1);
});

it('gives up where attaching again is of no use', async () => {
  const { viewer, clock, ticket, line } = await setUp();
  const first = await line();
  first.receive({ type: 'error', code: 'not_found', message: 'no such session', requestId: 'r1' });
  await expect(viewer.done).rejects.toMatchObject({ code: 'not_found', requestId: 'r1' });
  await clock.advance(60_000);
  expect(ticket).toHaveBeenCalledTimes(1);
});

it('does not dial again when it is not let in', async () => {
  const ticket = vi.fn(() => Promise.reject(new CliError('not_signed_in', 'sign in')));
  const dial = vi.fn(() => new FakeSocket([]));
  const { viewer, clock } = await setUp({ line: { ticket, dial } });
  await expect(viewer.done).rejects.toMatchObject({ code: 'not_signed_in' });
  await clock.advance(60_000);
  expect(ticket).toHaveBeenCalledTimes(1);
  expect(dial).not.toHaveBeenCalled();
});

it('tries again while the village restarts', async () => {
  const ticket = vi.fn(async () => 't').mockRejectedValueOnce(new CliError('unreachable', 'nobody answers'));
  const dial = vi.fn(() => new FakeSocket([]));
  const { viewer, clock, told } = await setUp({ line: { ticket, dial } });
  await clock.advance(1_000);
  expect(told).toEqual(['reconnecting: nobody answers']);
  expect(dial).toHaveBeenCalledTimes(1);
  viewer.close();
});
