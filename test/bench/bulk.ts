/** 50 MB of output: how much the agent is slowed against a bare PTY reader, and when the viewer's screen is the final one. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import xterm from '@xterm/headless';
import { bareShell } from './bare-shell.ts';
import { attachRaw, startShell, startVillage, summarise, until, untilState } from './harness.ts';

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

const watched = async (village: Awaited<ReturnType<typeof startVillage>>, round: number) => {
  const sessionId = await startShell(village);
  await untilState(village, sessionId, 'running');
  const viewer = await attachRaw(village, sessionId);
  const terminal = new xterm.Terminal({ cols: 120, rows: 32, scrollback: 0, allowProposedApi: true });
  let position = { offset: -1 };
  let frames = 0;
  let shownAtMs = 0;
  const line = (row: number) => terminal.buffer.active.getLine(row)?.translateToString(true) ?? '';
  const shown = () => Array.from({ length: 32 }, (_, row) => line(row)).some((text) => text === LAST_LINE);
  viewer.onFrame = (frame) => {
    if (frame.type !== 'terminal_output' && frame.type !== 'terminal_snapshot') return;
    frames += 1;
    if (frame.type === 'terminal_snapshot' && frame.part === 0) terminal.reset();
    position = { offset: frame.offset };
    terminal.write(frame.data, () => {
      if (shownAtMs === 0 && shown()) shownAtMs = performance.timeOrigin + performance.now();
    });
  };
  const marker = path.join(village.dir, `watched-${round}`);
  viewer.type(command(marker));
  const [tookUs = 0, endedAtUs = 0] = await readMarker(marker);
  /** A viewer that fell behind gets its snapshot by attaching again, as every client does. */
  await until('the final screen', async () => (shownAtMs > 0 ? true : undefined), 60_000).catch(() => undefined);
  viewer.close();
  await village.post(`/api/sessions/${sessionId}/stop`, {});
  return {
    tookMs: tookUs / 1_000,
    screenAfterMs: shownAtMs === 0 ? Number.POSITIVE_INFINITY : shownAtMs - endedAtUs / 1_000,
    frames,
    offset: position.offset,
  };
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
      framesToViewer: through.map(({ frames }) => frames),
    };
  } finally {
    await village.close();
  }
};
