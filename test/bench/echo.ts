/** Keystroke echo: from the viewer's key to the byte on its socket, against a bare relay of the same run, with what each hop takes. */

import { WebSocket } from 'ws';
import { bareShell } from './bare-shell.ts';
import {
  attachRaw,
  child,
  firstLine,
  type RawViewer,
  ROOT,
  type Summary,
  startShell,
  startVillage,
  summarise,
  until,
  untilState,
} from './harness.ts';

const WARM_UP = 30;
const KEYS = 'abcdefghijklmnopqrstuvwxyz';
const BARE_PROMPT = '$ ';
/** bash writes `#` for root. */
const SESSION_PROMPT = process.getuid?.() === 0 ? '# ' : '$ ';

/** One key at a time, each waited for; the line is cleared before it wraps. */
const measure = async (
  n: number,
  prompt: string,
  type: (data: string) => void,
  listen: (onData: (data: string) => void) => void,
): Promise<Summary> => {
  let wanted = '';
  let arrived = Promise.withResolvers<void>();
  listen((data) => {
    if (wanted !== '' && data.includes(wanted)) arrived.resolve();
  });
  const values: number[] = [];
  for (let index = 0; index < n + WARM_UP; index += 1) {
    arrived = Promise.withResolvers();
    wanted = KEYS[index % KEYS.length] ?? 'a';
    const startedMs = performance.now();
    type(wanted);
    await arrived.promise;
    if (index >= WARM_UP) values.push(performance.now() - startedMs);
    if (index % 60 === 59) {
      wanted = prompt;
      arrived = Promise.withResolvers();
      type('\u0015\r');
      await arrived.promise;
    }
  }
  return summarise(values);
};

const bareRelay = async (n: number): Promise<Summary> => {
  const relay = child(process.execPath, [`${ROOT}/test/bench/bare-pair.ts`, 'relay']);
  const port = await firstLine(relay);
  await firstLine(child(process.execPath, [`${ROOT}/test/bench/bare-pair.ts`, 'pty', port]));
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  await new Promise((resolve) => socket.once('open', resolve));
  const summary = await measure(
    n,
    BARE_PROMPT,
    (data) => socket.send(data),
    (onData) => socket.on('message', (data) => onData(data.toString())),
  );
  socket.close();
  return summary;
};

const barePty = async (n: number): Promise<Summary> => {
  const pty = bareShell();
  const summary = await measure(
    n,
    BARE_PROMPT,
    (data) => pty.write(data),
    (onData) => void pty.onData(onData),
  );
  pty.kill('SIGKILL');
  return summary;
};

/** Viewer → gateway → Lambda → gateway → viewer, no table read and no runner. */
const pings = async (viewer: RawViewer, n: number): Promise<Summary> => {
  const values: number[] = [];
  for (let index = 0; index < n + WARM_UP; index += 1) {
    const startedMs = performance.now();
    const answered = new Promise<void>((resolve) => {
      viewer.onFrame = (frame) => void (frame.type === 'pong' && resolve());
    });
    viewer.send({ type: 'ping', ts: 0, attached: [] });
    await answered;
    if (index >= WARM_UP) values.push(performance.now() - startedMs);
  }
  return summarise(values);
};

export const echo = async (n: number) => {
  const village = await startVillage();
  try {
    const sessionId = await startShell(village);
    await untilState(village, sessionId, 'running');
    const viewer = await attachRaw(village, sessionId);
    let screen = '';
    viewer.onFrame = (frame) => {
      if (frame.type === 'terminal_snapshot' || frame.type === 'terminal_output') screen += frame.data;
    };
    await until('a prompt', async () => (screen.includes(SESSION_PROMPT) ? true : undefined));
    const whole = await measure(
      n,
      SESSION_PROMPT,
      (data) => viewer.type(data),
      (onData) => {
        viewer.onFrame = (frame) => void (frame.type === 'terminal_output' && onData(frame.data));
      },
    );
    const viewerLambdaViewer = await pings(viewer, n);
    viewer.close();
    const pty = await barePty(n);
    const baseline = await bareRelay(n);
    const ratio = (a: number, b: number) => Math.round((a / b) * 100) / 100;
    return {
      unit: 'ms',
      village: whole,
      baseline: { what: 'bare viewer → relay → PTY on ws defaults', ...baseline },
      ratioP50: ratio(whole.p50, baseline.p50),
      ratioP99: ratio(whole.p99, baseline.p99),
      hops: {
        'viewer → gateway → Lambda → viewer (ping, no read)': viewerLambdaViewer,
        'bare PTY echo': pty,
        'rest: two posts, pty-host, pipeline, pacing (p50, by difference)':
          Math.round((whole.p50 - viewerLambdaViewer.p50 - pty.p50) * 100) / 100,
      },
    };
  } finally {
    await village.close();
  }
};
