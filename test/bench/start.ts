/** Start of a shell session to its first terminal byte at a viewer, beyond what its own processes take to start. */
import { bareShell } from './bare-shell.ts';
import { attachRaw, child, ROOT, startShell, startVillage, summarise, untilState } from './harness.ts';

const WARM_UP = 1;

const sessionStart = async (village: Awaited<ReturnType<typeof startVillage>>): Promise<number> => {
  const startedMs = performance.now();
  const sessionId = await startShell(village);
  const viewer = await attachRaw(village, sessionId);
  await new Promise<void>((resolve) => {
    viewer.onFrame = (frame) => {
      if ((frame.type === 'terminal_output' || frame.type === 'terminal_snapshot') && frame.data !== '') resolve();
    };
  });
  const tookMs = performance.now() - startedMs;
  viewer.close();
  await village.post(`/api/sessions/${sessionId}/stop`, {});
  await untilState(village, sessionId, 'completed');
  return tookMs;
};

const loaded = (args: readonly string[]): Promise<number> => {
  const startedMs = performance.now();
  return new Promise((resolve) =>
    child(process.execPath, args, { PATH: process.env.PATH ?? '' }).once('exit', () =>
      resolve(performance.now() - startedMs),
    ),
  );
};

/** Node and the modules of pty-host and runner, one after the other as they really start, then bash to its first byte. */
const ownStart = async (): Promise<number> => {
  const load = (file: string) => [
    '--input-type=module',
    '-e',
    `process.argv.length = 1; await import(${JSON.stringify(`${ROOT}/${file}`)}).catch(() => {}); process.exit(0)`,
  ];
  const modules = await Promise.all([0]).then(
    async () =>
      (await loaded(load('runner-image/src/pty-host/supervisor.ts'))) +
      (await loaded(load('runner-image/src/runner.ts'))),
  );
  const startedMs = performance.now();
  const pty = bareShell();
  await new Promise<void>((resolve) => void pty.onData(() => resolve()));
  const shellMs = performance.now() - startedMs;
  pty.kill('SIGKILL');
  return modules + shellMs;
};

export const start = async (n: number) => {
  const village = await startVillage();
  try {
    const sessions: number[] = [];
    const own: number[] = [];
    for (let index = 0; index < n + WARM_UP; index += 1) {
      const tookMs = await sessionStart(village);
      const ownMs = await ownStart();
      if (index >= WARM_UP) {
        sessions.push(tookMs);
        own.push(ownMs);
      }
    }
    const whole = summarise(sessions);
    const baseline = summarise(own);
    return {
      unit: 'ms',
      firstByte: whole,
      baseline: { what: 'node with the modules of pty-host, then of the runner, then bash', ...baseline },
      beyondP50: Math.round((whole.p50 - baseline.p50) * 100) / 100,
      villageReady: Math.round(village.readyMs),
    };
  } finally {
    await village.close();
  }
};
