/** One viewer of one session against a played control plane. */
import type { StreamAddress } from '../../../../shared/session.ts';
import type { InputLoss } from '../../../../shared/viewer/input-sender.ts';
import { SessionStream } from '../../../../shared/viewer/session-stream.ts';
import type { SessionStreamPorts } from '../../../../shared/viewer/stream-view.ts';
import type { TerminalAction } from '../../../../shared/viewer/terminal-assembler.ts';
import { mockSession } from '../../../e2e/mock/mock-data.ts';
import { FakeSocket, fixedRandom, HandClock, settle } from './fake-socket.ts';

export const session = mockSession(1);
export const { sessionId } = session;
export const VIEWER = 'viewer-1';

export const setup = async (
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

export const attached = (over: Record<string, unknown> = {}) => ({
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
export const output = (offset: number, data: string) => ({
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
export const textOf = (actions: readonly TerminalAction[]) =>
  actions.flatMap((action) => (action.kind === 'write' ? [action.data] : [])).join('');
