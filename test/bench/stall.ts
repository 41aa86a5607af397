/**
 * A viewer that stops reading while the agent floods: what the village grows by, what a second viewer still gets, and whether the
 * stalled one ends with the same screen. The baseline is a bare WebSocket relay under the same flood.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { SerializeAddon } from '@xterm/addon-serialize';
import xterm from '@xterm/headless';
import { WebSocket } from 'ws';
import { createApiClient } from '../../cli/api-client.ts';
import { ViewerClient } from '../../cli/viewer/viewer-client.ts';
import { Ticket } from '../../shared/http.ts';
import type { Drawing } from '../../shared/viewer/terminal-assembler.ts';
import { child, firstLine, ROOT, startShell, startVillage, until, untilState, type Village } from './harness.ts';
import { rssBytesBelow } from './memory.ts';

const STALL_MS = 8_000;
const ROUNDS = 3;
const SAMPLE_MS = 100;
/** The first flood fills caches and makes the heap as large as it gets; what follows is compared with it. */
const WARM_UP_SEC = 6;
const LINE = '0123456789'.repeat(8).slice(0, 79);
const SIZE = { cols: 120, rows: 32 };
/** Prints without an end until it is interrupted, then a screen that tells whether anything is missing. */
const FLOOD = `trap 'break' INT; while :; do yes ${LINE} | head -c 2000000; done; trap - INT\r`;

/** A heap breathes by tens of megabytes between two collections: both ends are medians of a second. */
const EDGE_SAMPLES = 10;
const middle = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const toMiB = (bytes: number): number => Math.round((bytes / 1_048_576) * 10) / 10;

interface Watcher {
  readonly viewer: ViewerClient;
  readonly screen: () => string;
  /** Bytes of terminal on the socket so far. */
  readonly receivedBytes: () => number;
  readonly frames: () => number;
  /** Stops reading from the socket, as a tab that hangs does; the kernel's buffers fill. */
  setStalled(isStalled: boolean): void;
}

const openWatcher = async (village: Village, sessionId: string, mode: 'control' | 'watch'): Promise<Watcher> => {
  const api = createApiClient({ url: village.url, token: village.token });
  const terminal = new xterm.Terminal({ ...SIZE, scrollback: 0, allowProposedApi: true });
  const serialize = new SerializeAddon();
  terminal.loadAddon(serialize as unknown as Parameters<typeof terminal.loadAddon>[0]);
  const seen = { receivedBytes: 0, frames: 0, pendingChars: 0, isAttached: false, isStalled: false };
  let current: WebSocket | undefined;
  const write = (data: string) => {
    seen.pendingChars += data.length;
    terminal.write(data, () => {
      seen.pendingChars -= data.length;
    });
  };
  const draw = (action: Drawing) => {
    if (action.kind === 'write') write(action.data);
    else if (action.kind === 'reset') write('\x1bc');
    else if (action.kind === 'resize') terminal.resize(action.cols, action.rows);
  };
  const viewer = new ViewerClient({
    line: {
      ticket: async () => (await api.post('/api/tickets', {}, Ticket)).ticket,
      dial: (protocols) => {
        const socket = new WebSocket(`${village.url.replace('http', 'ws')}/ws/viewer`, protocols, {
          perMessageDeflate: false,
        });
        current = socket;
        const line = {
          onopen: null as (() => void) | null,
          onmessage: null as ((event: { data: unknown }) => void) | null,
          onclose: null as ((event: { code: number; reason: string }) => void) | null,
          send: (text: string) => socket.send(text),
          close: (code?: number) => socket.close(code),
        };
        socket.on('open', () => line.onopen?.());
        socket.on('message', (data) => {
          const text = data.toString();
          if (/"type":"terminal_(output|snapshot)"/.test(text)) {
            seen.receivedBytes += text.length;
            seen.frames += 1;
          }
          line.onmessage?.({ data: text });
        });
        socket.on('error', () => {});
        socket.once('close', (code, reason) => line.onclose?.({ code, reason: reason.toString() }));
        return line;
      },
    },
    ...{ sessionId, mode, takeOver: mode === 'control', size: SIZE },
    terminal: {
      apply: (actions) => actions.forEach(draw),
      clear: () => write('\x1bc'),
      pendingChars: () => seen.pendingChars,
    },
    onAttached: () => {
      seen.isAttached = true;
    },
    onInputLost: (reason) => process.stderr.write(`input was lost: ${reason}\n`),
  });
  await until('a viewer', async () => (seen.isAttached && viewer.isCaughtUp ? true : undefined));
  return {
    viewer,
    screen: () => serialize.serialize(),
    receivedBytes: () => seen.receivedBytes,
    frames: () => seen.frames,
    setStalled: (isStalled) => {
      if (isStalled) current?.pause();
      else current?.resume();
    },
  };
};

/** By program, over the 8 s. */
interface Growth {
  readonly grownMiB: Readonly<Record<string, number>> & { readonly all: number };
  readonly bytesPerSecond: number;
}

/** What a while of flood does to the village, and what `second` gets of it. */
const observe = async (pid: number, received: () => number): Promise<Growth> => {
  const receivedBefore = received();
  const startedMs = performance.now();
  const samples: ReadonlyMap<string, number>[] = [];
  while (performance.now() - startedMs < STALL_MS) {
    samples.push(rssBytesBelow(pid));
    await delay(SAMPLE_MS);
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  const edge = (name: string, part: typeof samples) => middle(part.map((sample) => sample.get(name) ?? 0));
  /** The shell's own children come and go. */
  const grown = [...(samples.at(-1) ?? new Map<string, number>()).keys()].map((name): [string, number] => [
    name,
    edge(name, samples.slice(-EDGE_SAMPLES)) - edge(name, samples.slice(0, EDGE_SAMPLES)),
  ]);
  const grownMiB = {
    ...Object.fromEntries(grown.map(([name, bytes]) => [name, toMiB(bytes)])),
    all: toMiB(grown.reduce((sum, [, bytes]) => sum + bytes, 0)),
  };
  return { grownMiB, bytesPerSecond: (received() - receivedBefore) / seconds };
};

const throughVillage = async () => {
  const village = await startVillage();
  try {
    const sessionId = await startShell(village);
    await untilState(village, sessionId, 'running');
    const second = await openWatcher(village, sessionId, 'control');
    second.viewer.input(FLOOD);
    await until('the flood', async () => (second.receivedBytes() > 100_000 ? true : undefined));
    await delay(WARM_UP_SEC * 1_000);
    const solo = await observe(village.pid, second.receivedBytes);
    const stalled = await openWatcher(village, sessionId, 'watch');
    const reading: Growth[] = [];
    const stalling: Growth[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      // Both read for a while first: one more viewer needs memory of its own, stalled or not.
      reading.push(await observe(village.pid, second.receivedBytes));
      stalled.setStalled(true);
      stalling.push(await observe(village.pid, second.receivedBytes));
      if (round === ROUNDS - 1) break;
      stalled.setStalled(false);
      await until('the stalled viewer', async () => (stalled.viewer.isCaughtUp ? true : undefined));
    }
    second.viewer.input('\x03');
    await delay(500);
    second.viewer.input('clear; printf "\\033[32mdone\\033[0m-%s\\n" $((20+22))\r');
    await until('the end', async () => (second.screen().includes('-42') ? true : undefined), 60_000);
    stalled.setStalled(false);
    await until('the stalled viewer', async () => (stalled.screen() === second.screen() ? true : undefined), 30_000);
    const rate = (growths: readonly Growth[]) => middle(growths.map(({ bytesPerSecond }) => bytesPerSecond));
    const result = {
      rounds: ROUNDS,
      bothReadingGrownMiB: reading.map(({ grownMiB }) => grownMiB),
      oneStalledGrownMiB: stalling.map(({ grownMiB }) => grownMiB),
      oneStalledGrownMedianMiB: middle(stalling.map(({ grownMiB }) => grownMiB.all)),
      secondViewerRate: Math.round((rate(stalling) / solo.bytesPerSecond) * 100) / 100,
      secondViewerBytesPerSecond: Math.round(rate(stalling)),
      stalledEndsIdentical: stalled.screen() === second.screen(),
    };
    second.viewer.close();
    stalled.viewer.close();
    return result;
  } finally {
    await village.close();
  }
};

/** ws on its defaults: what is not read waits in the relay's memory. */
const bareRelay = async () => {
  const relay = child(process.execPath, [`${ROOT}/test/bench/bare-pair.ts`, 'relay']);
  const port = await firstLine(relay);
  const pty = child(process.execPath, [`${ROOT}/test/bench/bare-pair.ts`, 'pty', port]);
  await firstLine(pty);
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send(FLOOD);
  await new Promise((resolve) => socket.once('message', resolve));
  socket.pause();
  const { grownMiB } = await observe(relay.pid ?? 0, () => 0);
  socket.terminate();
  relay.kill('SIGKILL');
  pty.kill('SIGKILL');
  return { what: 'bare relay on ws defaults with the same stalled viewer', grownMiB };
};

export const stall = async () => ({
  unit: 'MiB in 8 s',
  village: await throughVillage(),
  baseline: await bareRelay(),
});
