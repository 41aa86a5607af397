/** A cut line and a late join: messages and milliseconds until the viewer shows everything again, against a bare WebSocket that comes back. */
import { WebSocket, WebSocketServer } from 'ws';
import type { StreamAddress } from '../../shared/session.ts';
import {
  attachRaw,
  type RawViewer,
  startShell,
  startVillage,
  summarise,
  until,
  untilState,
  type Village,
} from './harness.ts';

const SCREEN = { cols: 120, rows: 40 };
/** A screen that is full, coloured, and different in every cell. */
const FILL = `clear; for r in $(seq 1 39); do for c in $(seq 1 24); do printf '\\033[3%dm%02d%02d ' $((c%8)) $r $c; done; echo; done; printf 'screen-is-%s' full\r`;
const FULL = 'screen-is-full';

interface Join {
  readonly messages: number;
  readonly bytes: number;
  readonly tookMs: number;
}

/** From the dial to the last frame of the screen: every message that came by then, `attached` among them. */
const lateJoin = async (village: Village, sessionId: string): Promise<Join> => {
  const startedMs = performance.now();
  const viewer = await attachRaw(village, sessionId, 'watch', SCREEN);
  const seen = { messages: 1, bytes: JSON.stringify(viewer.attached).length };
  await new Promise<void>((resolve) => {
    let parts = Number.POSITIVE_INFINITY;
    viewer.onFrame = (frame) => {
      if (frame.type !== 'terminal_snapshot' && frame.type !== 'terminal_output') return;
      seen.messages += 1;
      seen.bytes += JSON.stringify(frame).length;
      if (frame.type === 'terminal_snapshot') parts = Math.min(parts, frame.parts) - 1;
      if (parts <= 0) resolve();
    };
  });
  const tookMs = performance.now() - startedMs;
  viewer.close();
  return { ...seen, tookMs };
};

/** Dials again with the address it had; what was printed meanwhile comes as bytes. */
const comeBack = async (village: Village, sessionId: string, controller: RawViewer, from: StreamAddress) => {
  controller.type(`printf 'mark-%s\\n' ${from.offset}\r`);
  const startedMs = performance.now();
  const viewer = await attachRaw(village, sessionId, 'watch', SCREEN, from);
  let messages = 1;
  let screen = '';
  await new Promise<void>((resolve) => {
    viewer.onFrame = (frame) => {
      if (frame.type !== 'terminal_snapshot' && frame.type !== 'terminal_output') return;
      messages += 1;
      screen += frame.data;
      if (screen.includes(`mark-${from.offset}\r\n`)) resolve();
    };
  });
  const tookMs = performance.now() - startedMs;
  viewer.close();
  return { messages, tookMs };
};

/** Milliseconds for a bare socket on this machine to be cut and open again, and to get one message. */
const bareReconnects = async (n: number): Promise<number[]> => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => socket.send('hello'));
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const values: number[] = [];
  for (let index = 0; index < n; index += 1) {
    const startedMs = performance.now();
    const socket = new WebSocket(`ws://127.0.0.1:${port}`);
    await new Promise((resolve) => socket.once('message', resolve));
    values.push(performance.now() - startedMs);
    socket.terminate();
  }
  server.close();
  return values;
};

export const reconnect = async (n: number) => {
  const village = await startVillage();
  try {
    const sessionId = await startShell(village);
    await untilState(village, sessionId, 'running');
    const controller = await attachRaw(village, sessionId, 'control', SCREEN);
    let text = '';
    let head: StreamAddress = { epoch: 1, offset: 0 };
    controller.onFrame = (frame) => {
      if (frame.type === 'terminal_output' || frame.type === 'terminal_snapshot') text += frame.data;
      if (frame.type === 'terminal_output') {
        head = { epoch: frame.epoch, offset: frame.offset + Buffer.byteLength(frame.data) };
      }
    };
    controller.type(FILL);
    await until('a full screen', async () => (text.includes(FULL) ? true : undefined));
    const joins: Join[] = [];
    for (let index = 0; index < n; index += 1) joins.push(await lateJoin(village, sessionId));
    const returns: { messages: number; tookMs: number }[] = [];
    for (let index = 0; index < n; index += 1) returns.push(await comeBack(village, sessionId, controller, head));
    const baseline = await bareReconnects(n);
    const most = (values: readonly number[]) => Math.max(...values);
    return {
      unit: 'ms',
      screen: `${SCREEN.cols}x${SCREEN.rows}`,
      lateJoin: {
        messagesMost: most(joins.map(({ messages }) => messages)),
        bytesMost: most(joins.map(({ bytes }) => bytes)),
        ...summarise(joins.map(({ tookMs }) => tookMs)),
      },
      comeBackFromAddress: {
        messagesMost: most(returns.map(({ messages }) => messages)),
        ...summarise(returns.map(({ tookMs }) => tookMs)),
      },
      baseline: { what: 'bare WebSocket dialled again until its first message', ...summarise(baseline) },
    };
  } finally {
    await village.close();
  }
};
