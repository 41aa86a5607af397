/** pty-host: the small process that owns the PTYs and the runner's life, so that a crash of the runner costs no session. */
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { systemClock, systemRandom } from '../../../shared/clock.ts';
import { DRAIN_MS, PTY_LAST_GRACE_MS } from '../../../shared/limits.ts';
import { startPtyServer } from './server.ts';
import { superviseRunner } from './supervisor.ts';

const Environment = z.object({
  VILLAGE_RUNNER_MAIN: z
    .string()
    .min(1)
    .default(fileURLToPath(new URL('../main.ts', import.meta.url))),
  VILLAGE_DIE_WITH_PARENT: z.enum(['0', '1']).default('0'),
  VILLAGE_DRAIN_MS: z.coerce.number().int().min(0).default(DRAIN_MS),
});

const main = async (): Promise<void> => {
  const environment = Environment.parse(process.env);
  const server = await startPtyServer(systemClock, systemRandom, () => supervisor.settled());
  let isEnding = false;
  const end = async (exitCode: number): Promise<void> => {
    if (isEnding) return;
    isEnding = true;
    const left = await server.killAll(PTY_LAST_GRACE_MS);
    if (left.length > 0) console.error(`pty-host: processes left over: ${left.join(', ')}`);
    server.close();
    process.exit(exitCode);
  };
  const supervisor = superviseRunner({
    runnerMain: environment.VILLAGE_RUNNER_MAIN,
    env: { ...process.env, VILLAGE_PTY_SOCKET: server.socketPath },
    drainMs: environment.VILLAGE_DRAIN_MS,
    clock: systemClock,
    random: systemRandom,
    onEnd: (exitCode) => void end(exitCode),
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => supervisor.drain());
  const die = (reason: string): void => {
    console.error(`pty-host: ${reason}`);
    supervisor.kill();
    void end(1);
  };
  // Our own output may be a pipe whose reader died with the parent: that must not keep us from cleaning up.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  process.on('uncaughtException', (error) => die(error.stack ?? String(error)));
  process.on('unhandledRejection', (error) =>
    die(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
  if (environment.VILLAGE_DIE_WITH_PARENT === '1') {
    for (const event of ['end', 'close', 'error'] as const) process.stdin.once(event, () => die('the parent is gone'));
    process.stdin.resume();
  }
};

await main();
