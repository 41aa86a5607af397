/** The hops of a keystroke one by one, each from outside: what the echo through the whole village is made of. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { WebSocket } from 'ws';
import { connectPtyHost } from '../../runner-image/src/pty-host/client.ts';
import { openSpool } from '../../runner-image/src/stream/spool.ts';
import { openTerminalStream } from '../../runner-image/src/stream/terminal-stream.ts';
import { systemClock } from '../../shared/clock.ts';
import { child, firstLine, ROOT, type Summary, summarise } from './harness.ts';

export type Measure = (
  type: (data: string) => void,
  listen: (onData: (data: string) => void) => void,
) => Promise<Summary>;

const PEER = `${ROOT}/test/bench/hop-peer.ts`;
const SHELL_ENV = { PS1: '$ ', TERM: 'xterm-256color', PATH: process.env.PATH ?? '' };

/** Runner's client → unix socket → pty-host → bash → pty-host → client. */
export const ptyHostEcho = async (measure: Measure): Promise<Summary> => {
  const host = await connectPtyHost(await firstLine(child(process.execPath, [PEER, 'pty-host'])));
  const args = ['--noprofile', '--norc', '-i'];
  const size = { cols: 120, rows: 32 };
  const shell = await host.spawn({ id: 'bench', file: '/bin/bash', args, env: SHELL_ENV, cwd: '/', ...size });
  const summary = await measure(
    (data) => void shell.write(data),
    (onData) =>
      shell.onData((bytes, offset) => {
        onData(bytes.toString());
        shell.ack(offset + bytes.length);
      }),
  );
  await shell.kill();
  host.close();
  return summary;
};

/** Viewer → gateway → one signed post → gateway → viewer, without a function's own work. */
export const messageAndPost = async (n: number, warmUp: number): Promise<Summary> => {
  const port = await firstLine(child(process.execPath, [PEER, 'post']));
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws/viewer`, { perMessageDeflate: false });
  await new Promise((resolve) => socket.once('open', resolve));
  const values: number[] = [];
  for (let index = 0; index < n + warmUp; index += 1) {
    const startedMs = performance.now();
    const answered = new Promise((resolve) => socket.once('message', resolve));
    socket.send('{"type":"terminal_output","data":"a"}');
    await answered;
    if (index >= warmUp) values.push(performance.now() - startedMs);
  }
  socket.close();
  return summarise(values);
};

/** Raw bytes → decoder, filter, redactor, spool on disk → subscriber, in this process. */
export const pipeline = async (n: number, warmUp: number): Promise<Summary> => {
  const folder = mkdtempSync(path.join(tmpdir(), 'village-bench-spool-'));
  const spool = openSpool({ folder, epoch: 1 });
  const stream = openTerminalStream({
    ...{ epoch: 1, spool, cols: 120, rows: 32, clock: systemClock },
    secrets: ['0123456789abcdef0123456789abcdef'],
    ack: () => {},
  });
  let arrivedMs = 0;
  stream.subscribe(() => {
    arrivedMs = performance.now();
  });
  const values: number[] = [];
  let offset = 0;
  for (let index = 0; index < n + warmUp; index += 1) {
    const bytes = Buffer.from(index % 100 === 99 ? '\r\n' : 'x');
    const startedMs = performance.now();
    stream.accept(bytes, offset);
    offset += bytes.length;
    if (index >= warmUp) values.push(arrivedMs - startedMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
  stream.dispose();
  spool.close();
  rmSync(folder, { recursive: true, force: true });
  return summarise(values);
};
