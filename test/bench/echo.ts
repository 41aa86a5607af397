/** Keystroke echo: from the viewer's key to the byte on its socket, against a bare relay of the same run, with what each hop takes. */

import { readdirSync, readFileSync } from 'node:fs';
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
import { messageAndPost, pipeline, ptyHostEcho } from './hops.ts';

/** Below it the figures are those of an interpreter that has not compiled anything yet. */
const WARM_UP = 300;
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

/** `/proc/<pid>/stat` counts in hundredths of a second on Linux. */
const TICK_MS = 10;
/** Processor time so far of a process and everything below it. */
const cpuMs = (rootPid: number): number => {
  const stats = readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const text = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
      return [{ pid: Number(name), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }];
    } catch {
      // Ended while we looked.
      return [];
    }
  });
  const below = (pid: number): number =>
    stats.filter(({ parent }) => parent === pid).reduce((sum, entry) => sum + entry.ticks + below(entry.pid), 0);
  return (below(rootPid) + (stats.find(({ pid }) => pid === rootPid)?.ticks ?? 0)) * TICK_MS;
};

/** Keys typed beside those that count: to warm up, and to clear the line. */
const typedKeys = (n: number): number => n + WARM_UP;

const throughVillage = async (n: number) => {
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
    const cpuBeforeMs = cpuMs(village.pid);
    const whole = await measure(
      n,
      SESSION_PROMPT,
      (data) => viewer.type(data),
      (onData) => {
        viewer.onFrame = (frame) => void (frame.type === 'terminal_output' && onData(frame.data));
      },
    );
    const cpuPerKeyMs = (cpuMs(village.pid) - cpuBeforeMs) / typedKeys(n);
    const ping = await pings(viewer, n);
    viewer.close();
    return { whole, ping, cpuPerKeyMs };
  } finally {
    await village.close();
  }
};

const rounded = (value: number): number => Math.round(value * 100) / 100;

export const echo = async (n: number) => {
  const { whole, ping, cpuPerKeyMs } = await throughVillage(n);
  // One after the other: two of them at once would measure each other.
  const pty = await barePty(n);
  const baseline = await bareRelay(n);
  const hosted = await ptyHostEcho((type, listen) => measure(n, BARE_PROMPT, type, listen));
  const posted = await messageAndPost(n, WARM_UP);
  const piped = await pipeline(n, WARM_UP);
  return {
    unit: 'ms',
    village: whole,
    baseline: { what: 'bare viewer → relay → PTY on ws defaults', ...baseline },
    ratioP50: rounded(whole.p50 / baseline.p50),
    ratioP99: rounded(whole.p99 / baseline.p99),
    villageCpuPerKey: rounded(cpuPerKeyMs),
    hops: {
      'viewer → gateway → Lambda → viewer (ping, no read)': ping,
      'viewer → gateway → signed post → viewer (twice in an echo, once to the runner)': posted,
      'pty-host client → pty-host → bash and back': hosted,
      'pipeline: decode, filter, redact, spool': piped,
      'bare PTY echo': pty,
    },
    restP50: rounded(whole.p50 - 2 * posted.p50 - hosted.p50 - piped.p50),
  };
};
