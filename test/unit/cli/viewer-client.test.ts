import { expect, it, vi } from 'vitest';
import { CliError } from '../../../cli/cli-error.ts';
import { type SocketHandlers, ViewerClient, type ViewerClientOptions } from '../../../cli/viewer/viewer-client.ts';
import type { Clock } from '../../../shared/clock.ts';
import { PING_INTERVAL_MS, VIEWER_HOLD_MS } from '../../../shared/limits.ts';

const SESSION = 'ses_01M817YGBJPH11SXYBGPEAJZ4X';
const AGENT = 'agt_01M817YGBKJ8103RSN8CM878S7';
const SIZE = { cols: 80, rows: 24 };
const NOW = '2026-01-01T00:00:00.000Z';

const handClock = () => {
  let nowMs = 0;
  const timers = new Set<{ atMs: number; run: () => void }>();
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  };
  const move = (ms: number) => {
    nowMs += ms;
    for (const timer of [...timers]) if (timer.atMs <= nowMs && timers.delete(timer)) timer.run();
  };
  return { clock, move };
};

interface FakeSocket {
  readonly handlers: SocketHandlers;
  readonly sent: Record<string, unknown>[];
  receive(frame: object): void;
}

const setUp = (over: Partial<ViewerClientOptions> = {}) => {
  const sockets: FakeSocket[] = [];
  const screen: string[] = [];
  const lost: string[] = [];
  const { clock, move } = handClock();
  const viewer = new ViewerClient({
    dial: async (handlers) => {
      const sent: Record<string, unknown>[] = [];
      sockets.push({ handlers, sent, receive: (frame) => handlers.onMessage(JSON.stringify(frame)) });
      return { send: (text) => sent.push(JSON.parse(text)), close: () => handlers.onClose('closed') };
    },
    sessionId: SESSION,
    mode: 'control',
    size: SIZE,
    sink: { reset: (_size, data) => screen.splice(0, Infinity, data), write: (_size, data) => screen.push(data) },
    onInputLost: (reason) => lost.push(reason),
    clock,
    random: { next: () => 0.5, hex: (bytes) => 'a'.repeat(bytes * 2) },
    ...over,
  });
  const socket = (n: number): Promise<FakeSocket> =>
    vi.waitFor(() => {
      const found = sockets[n];
      if (found?.sent[0] === undefined) throw new Error(`no socket ${n} yet`);
      return found;
    });
  const attached = (controlTerm = 1, offset = 0, controllerId = viewer.viewerId) => ({
    type: 'attached',
    sessionId: SESSION,
    viewerId: viewer.viewerId,
    session: {
      sessionId: SESSION,
      agentId: AGENT,
      state: 'running',
      reason: null,
      desired: 'run',
      provider: 'shell',
      model: 'default',
      buildId: 'b',
      repository: { url: '/r' },
      title: 't',
      epoch: 1,
      head: { epoch: 1, offset, seq: 1 },
      createdBy: 'me',
      createdAt: NOW,
      updatedAt: NOW,
      lastEventAt: NOW,
      startedAt: NOW,
      endedAt: null,
      taskArn: null,
      usage: { agentMs: 0, waitingMs: 0, terminalBytes: 0, filesTouched: 0, commands: 0 },
    },
    live: true,
    head: { epoch: 1, offset, seq: 1 },
    mode: 'control',
    view: 'signed',
    viewers: [],
    controllerId,
    controlTerm,
  });
  return { viewer, sockets, socket, attached, screen, lost, move };
};
const output = (offset: number, data: string) => ({
  type: 'terminal_output',
  sessionId: SESSION,
  epoch: 1,
  agentId: AGENT,
  stream: 'stdout',
  offset,
  sizeRev: 0,
  ...SIZE,
  seq: 1,
  ts: 1,
  data,
});

it('attaches, shows output, and comes back from where it was after a cut', async () => {
  const { viewer, socket, attached, screen, move } = setUp();
  const first = await socket(0);
  expect(first.sent[0]).toMatchObject({ type: 'attach', sessionId: SESSION, mode: 'control', ...SIZE });
  expect(first.sent[0]).not.toHaveProperty('from');
  first.receive(attached());
  first.receive(output(0, 'hello'));
  first.handlers.onClose('cut');
  move(60_000);
  const second = await socket(1);
  expect(second.sent[0]).toMatchObject({ type: 'attach', from: { epoch: 1, offset: 5 } });
  second.receive(attached(1, 5));
  second.receive(output(3, 'lo!'));
  expect(screen.join('')).toBe('hello!');
  viewer.close();
});

it('resends keys that were not acknowledged, within the same term only', async () => {
  const { viewer, socket, attached, lost, move } = setUp();
  const first = await socket(0);
  expect(viewer.input('too early')).toBe(false);
  first.receive(attached(4));
  viewer.input('a');
  viewer.input('b');
  expect(first.sent.slice(1)).toMatchObject([
    { type: 'input', view: 'signed', controlTerm: 4, inputSeq: 1, data: 'a' },
    { type: 'input', inputSeq: 2, data: 'b' },
  ]);
  first.receive({
    type: 'input_ack',
    sessionId: SESSION,
    epoch: 1,
    viewerId: viewer.viewerId,
    controlTerm: 4,
    inputSeq: 1,
  });
  first.handlers.onClose('cut');
  move(60_000);
  const second = await socket(1);
  second.receive(attached(4));
  expect(second.sent.slice(1)).toMatchObject([{ type: 'input', inputSeq: 2, data: 'b' }]);
  expect(lost).toEqual([]);
  second.receive({ type: 'presence', sessionId: SESSION, viewers: [], controllerId: 'somebody', controlTerm: 5 });
  expect(lost).toEqual(['not_controller']);
  expect(viewer.input('x')).toBe(false);
  viewer.close();
});

it('asks again when bytes do not come: a hole, or a head above what is shown', async () => {
  const { viewer, socket, attached, move } = setUp();
  const first = await socket(0);
  first.receive(attached());
  first.receive(output(0, 'ab'));
  first.receive(output(5, 'f'));
  move(VIEWER_HOLD_MS);
  expect(first.sent.at(-1)).toMatchObject({ type: 'attach', from: { epoch: 1, offset: 2 } });
  first.receive(output(2, 'cde'));
  expect(viewer.isCaughtUp).toBe(true);
  first.receive({ type: 'head', sessionId: SESSION, epoch: 1, offset: 9, seq: 2 });
  expect(viewer.isCaughtUp).toBe(false);
  const before = first.sent.length;
  move(VIEWER_HOLD_MS);
  expect(first.sent.slice(before)).toMatchObject([{ type: 'attach', from: { epoch: 1, offset: 6 } }]);
  viewer.close();
});

it('asks for its size again where the terminal shows another one', async () => {
  const { viewer, socket, attached, move } = setUp({ size: { cols: 100, rows: 30 } });
  const first = await socket(0);
  first.receive(attached());
  first.receive(output(0, 'in 80 columns'));
  move(500);
  expect(first.sent.at(-1)).toMatchObject({ type: 'resize', cols: 100, rows: 30, rev: 1, view: 'signed' });
  first.receive({ ...output(13, 'in 100'), cols: 100, rows: 30, sizeRev: 1 });
  const before = first.sent.length;
  move(10_000);
  expect(first.sent).toHaveLength(before);
  viewer.close();
});

it('keeps its connection alive and tells when it leaves', async () => {
  const { viewer, socket, attached, move } = setUp();
  const first = await socket(0);
  first.receive(attached());
  move(PING_INTERVAL_MS);
  expect(first.sent.at(-1)).toMatchObject({
    type: 'ping',
    attached: [{ sessionId: SESSION, viewerId: viewer.viewerId }],
  });
  viewer.close();
  expect(first.sent.at(-1)).toMatchObject({ type: 'detach' });
  await expect(viewer.done).resolves.toBeUndefined();
});

it('asks again after an error of the gateway, and gives up where nothing can help', async () => {
  const { viewer, socket, move } = setUp();
  const first = await socket(0);
  first.receive({ message: 'Internal server error', connectionId: 'c', requestId: 'r' });
  move(60_000);
  expect(first.sent.filter((frame) => frame.type === 'attach')).toHaveLength(2);
  first.receive({ type: 'error', code: 'not_found', message: 'no such session', requestId: 'r1' });
  await expect(viewer.done).rejects.toMatchObject({ code: 'not_found', requestId: 'r1' });
});

it('does not dial again when it is not let in', async () => {
  const dial = vi.fn(() => Promise.reject(new CliError('not_signed_in', 'sign in')));
  const { viewer, move } = setUp({ dial });
  await expect(viewer.done).rejects.toMatchObject({ code: 'not_signed_in' });
  move(60_000);
  expect(dial).toHaveBeenCalledTimes(1);
});
