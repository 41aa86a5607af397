/** Runs the runner's image in the foreground as Fargate would: its output is ours, SIGTERM and exit code are passed on. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { sleep, systemClock } from '../../shared/clock.ts';
import { hardOpenFiles, runArguments, TASK_LIMITS } from './fargate.ts';
import { runProgram } from './run-program.ts';
import { defaultStorageDir, IMAGE, openStorage, podmanArguments, type Storage } from './storage.ts';
import { missingTools, RUN_TOOLS, SYSTEM_FOLDERS, skippedLine } from './tools.ts';

const INIT_PROGRAM = '/usr/bin/catatonit';
const NAME_BYTES = 6;
/** As `podman run` itself answers when the container could not be started. */
const NOT_STARTED = 125;
const COMMAND_TIMEOUT_MS = 30_000;
const KILL_EVERY_MS = 200;

export interface RunOptions {
  readonly storage: Storage;
  readonly image: string;
  readonly name: string;
  readonly envNames: readonly string[];
  readonly memoryMb: number;
}

/** Runs a short command of podman to its end; that it fails (no such container) is an answer. */
const tryPodman = (storage: Storage, ...args: string[]): Promise<unknown> =>
  runProgram('podman', [...podmanArguments(storage), ...args], { env: storage.env, timeoutMs: COMMAND_TIMEOUT_MS });

/** Starts the container. `exited` settles when nothing of it is left. */
const runContainer = (options: RunOptions) => {
  const { storage, name, image, envNames, memoryMb } = options;
  const openFiles = Math.min(TASK_LIMITS.openFiles, hardOpenFiles(readFileSync('/proc/self/limits', 'latin1')));
  const limits = { ...TASK_LIMITS, memoryMb, openFiles };
  const args = runArguments({ name, image, limits, envNames, withInit: existsSync(INIT_PROGRAM) });
  const child = spawn('podman', [...podmanArguments(storage), ...args], {
    env: storage.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.pipe(process.stdout, { end: false });
  child.stderr.pipe(process.stderr, { end: false });
  let isOver = false;
  const ended = new Promise<number>((resolve) => {
    child.once('error', (error) => {
      console.error(`podman cannot be started: ${error.message}`);
      resolve(NOT_STARTED);
    });
    child.once('close', (exitCode) => resolve(exitCode ?? NOT_STARTED));
  });
  const kill = async (): Promise<void> => {
    // Again and again, because a container that is just being made cannot be killed yet.
    while (!isOver) {
      await tryPodman(storage, 'kill', name);
      await sleep(systemClock, KILL_EVERY_MS);
    }
  };
  return {
    exited: ended.then(async (exitCode) => {
      isOver = true;
      // podman removes what ran; what was stopped before it ran is left to us.
      await tryPodman(storage, 'rm', '--force', '--volumes', '--ignore', name);
      return exitCode;
    }),
    stop: () => void child.kill('SIGTERM'),
    kill: () => void kill(),
  };
};

const main = async (): Promise<number> => {
  const { values } = parseArgs({
    options: {
      image: { type: 'string', default: IMAGE },
      name: { type: 'string', default: `village-${randomBytes(NAME_BYTES).toString('hex')}` },
      env: { type: 'string', multiple: true, default: [] },
      memory: { type: 'string', default: String(TASK_LIMITS.memoryMb) },
      store: { type: 'string', default: defaultStorageDir() },
    },
  });
  const missing = missingTools(RUN_TOOLS, `${process.env.PATH ?? ''}:${SYSTEM_FOLDERS}`);
  if (missing.length > 0) {
    console.error(skippedLine(missing));
    return NOT_STARTED;
  }
  const memoryMb = Number(values.memory);
  if (!Number.isInteger(memoryMb) || memoryMb < 64) throw new Error('--memory is a number of megabytes, at least 64');
  const { image, name, env: envNames, store } = values;
  const container = runContainer({ storage: openStorage(store), image, name, envNames, memoryMb });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, container.stop);
  // Our output may be a pipe whose reader died: that must not keep the container.
  process.stdout.on('error', () => {});
  process.stderr.on('error', () => {});
  if (process.env.VILLAGE_DIE_WITH_PARENT === '1') {
    for (const event of ['end', 'close', 'error'] as const) process.stdin.once(event, container.kill);
    process.stdin.resume();
  }
  return container.exited;
};

if (import.meta.main) process.exit(await main());
