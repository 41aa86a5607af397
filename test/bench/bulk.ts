/** 50 MB of output: how much the agent is slowed against a bare PTY reader, and when the viewer's screen is the final one. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import xterm from '@xterm/headless';
import { createApiClient } from '../../cli/api-client.ts';
import { viewerLine } from '../../cli/viewer/dial.ts';
import { ViewerClient } from '../../cli/viewer/viewer-client.ts';
import type { Drawing } from '../../shared/viewer/terminal-assembler.ts';
import { bareShell } from './bare-shell.ts';
import { startShell, startVillage, summarise, until, untilState, type Village } from './harness.ts';

const BYTES = 50_000_000;
const ROUNDS = 3;
const LAST_LINE = 'bulk-is-done';
/** Times itself in the shell, so that only what slows the writer counts; the end is stamped before the last line is printed. */
const command = (marker: string) =>
  `s=$(date +%s%N); yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678 | head -c ${BYTES}; e=$(date +%s%N); echo "$(( (e-s)/1000 )) $(( e/1000 ))" > ${marker}.tmp; mv ${marker}.tmp ${marker}; printf '\\n%s-%s\\n' bulk-is done\r`;

const readMarker = (marker: string) =>
  until('the end of the output', async () => (await readFile(marker, 'utf8')).trim().split(' ').map(Number), 240_000);

const bareReader = async (dir: string, round: number): Promise<number> => {
  const marker = path.join(dir, `bare-${round}`);
  const pty = bareShell();
  let bytes = 0;
  pty.onData((data) => {
    bytes += data.length;
  });
  pty.write(command(marker));
  const [tookUs = 0] = await readMarker(marker);
  pty.kill('SIGKILL');
  if (bytes < BYTES * 0.9) throw new Error(`the bare reader saw ${bytes} bytes only`);
  return tookUs / 1_000;
};

/** The CLI's viewer with a terminal behind it: it re-attaches at a gap as every real client does. */
const openViewer = async (village: Village, sessionId: string) => {
  const terminal = new xterm.Terminal({ cols: 120, rows: 32, scrollback: 0, allowProposedApi: true });
  const seen = { writes: 0, resets: 0, shownAtMs: 0 };
  const line = (row: number) => terminal.buffer.active.getLine(row)?.translateToString(true) ?? '';
  const look = () => {
    const isShown = Array.from({ length: terminal.rows }, (_, row) => line(row)).some((text) => text === LAST_LINE);
    if (isShown && seen.shownAtMs === 0) seen.shownAtMs = performance.timeOrigin + performance.now();
  };
  let pendingChars = 0;
  const write = (data: string) => {
    pendingChars += data.length;
    terminal.write(data, () => {
      pendingChars -= data.length;
      look();
    });
  };
  const draw = (action: Drawing) => {
    if (action.kind === 'write') {
      seen.writes += 1;
      write(action.data);
    } else if (action.kind === 'reset') {
      seen.resets += 1;
      // Behind what is queued: RIS empties the screen, in order.
      write('\x1bc');
    } else if (action.kind === 'resize') terminal.resize(action.cols, action.rows);
  };
  let isLeading = false;
  const viewer = new ViewerClient({
    line: viewerLine(createApiClient({ url: village.url, token: village.token })),
    ...{ sessionId, mode: 'control', takeOver: true, size: { cols: 120, rows: 32 } },
    terminal: {
      apply: (actions) => actions.forEach(draw),
      clear: () => write('\x1bc'),
      pendingChars: () => pendingChars,
    },
    onAttached: ({ mode }) => {
      isLeading = mode === 'control';
    },
    onInputLost: (reason) => process.stderr.write(`input was lost: ${reason}\n`),
  });
  await until('the viewer to lead', async () => (isLeading && viewer.isCaughtUp ? true : undefined));
  return { viewer, seen };
};

const watched = async (village: Village, round: number) => {
  const sessionId = await startShell(village);
  await untilState(village, sessionId, 'running');
  const { viewer, seen } = await openViewer(village, sessionId);
  const marker = path.join(village.dir, `watched-${round}`);
  viewer.input(command(marker));
  const [tookUs = 0, endedAtUs = 0] = await readMarker(marker);
  await until('the final screen', async () => (seen.shownAtMs > 0 ? true : undefined));
  viewer.close();
  await village.post(`/api/sessions/${sessionId}/stop`, {});
  await untilState(village, sessionId, 'completed');
  return { tookMs: tookUs / 1_000, screenAfterMs: seen.shownAtMs - endedAtUs / 1_000, ...seen };
};

export const bulk = async () => {
  const village = await startVillage();
  try {
    const bare: number[] = [];
    const through: Awaited<ReturnType<typeof watched>>[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      bare.push(await bareReader(village.dir, round));
      through.push(await watched(village, round));
    }
    const agent = summarise(through.map(({ tookMs }) => tookMs));
    const baseline = summarise(bare);
    return {
      unit: 'ms',
      bytes: BYTES,
      agent,
      baseline: { what: 'bare node-pty reader', ...baseline },
      slowedBy: Math.round((agent.p50 / baseline.p50) * 100) / 100,
      finalScreenAfterEnd: summarise(through.map(({ screenAfterMs }) => screenAfterMs)),
      framesToViewer: through.map(({ writes }) => writes),
      snapshotsToViewer: through.map(({ resets }) => resets),
    };
  } finally {
    await village.close();
  }
};
