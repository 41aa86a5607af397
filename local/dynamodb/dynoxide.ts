/** Starts dynoxide, the embedded DynamoDB, on a port and a directory of our choice, and makes sure that it never outlives us. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { DynamoDBClient, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { type Clock, sleep, systemClock } from '../../shared/clock.ts';
import { dieWithParent } from './die-with-parent.ts';

const PACKAGE = '@dynoxide/linux-x64';
const START_ATTEMPTS = 5;
const READY_TIMEOUT_MS = 15_000;
const READY_POLL_MS = 10;
const STOP_GRACE_MS = 3_000;
const STDERR_KEPT_CHARS = 4_096;

export interface RunningDynamodb {
  endpoint: string;
  port: number;
  pid: number;
  /** Settles when the process has ended, by `stop` or by itself. */
  exited: Promise<void>;
  stop(): Promise<void>;
}

export type DynamodbStart =
  | { ok: true; dynamodb: RunningDynamodb }
  | { ok: false; code: 'dynoxide_missing' | 'dynoxide_failed'; message: string };

export interface DynamodbOptions {
  /** Holds the database; made with mode 0700. One process at a time: the caller locks it. */
  dir: string;
  clock?: Clock;
  /** Where the binary is; default: the optional npm dependency. */
  binary?: string;
  setprivPath?: string;
  /** Default: a port that is free at this moment; asked again when somebody else was faster. */
  pickPort?: () => Promise<number>;
}

/** Path of the dynoxide binary, or undefined where the optional package is not installed (other platforms, `--omit=optional`). */
export function findDynoxide(packageName: string = PACKAGE): string | undefined {
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${packageName}/package.json`)), 'dynoxide');
  } catch {
    // Not installed is an expected outcome: the caller says what to do about it.
    return undefined;
  }
}

/** A port nobody listens on at this moment (dynoxide does not take port 0). */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('a TCP server has no port'));
        else resolve(address.port);
      });
    });
  });
}

interface Launched {
  child: ChildProcess;
  exited: Promise<void>;
  hasExited: () => boolean;
  stderr: () => string;
}

function launch(binary: string, port: number, dir: string, setprivPath: string | undefined): Launched {
  const args = ['serve', '--host', '127.0.0.1', '--port', `${port}`, '--db-path', join(dir, 'dynamodb.sqlite')];
  const wrapped = dieWithParent(binary, args, setprivPath);
  const child = spawn(wrapped.command, wrapped.args, {
    // Of a group of its own: Ctrl-C in a terminal reaches the whole group, and the database must outlive what writes to it.
    detached: true,
    stdio: [wrapped.stdin, 'ignore', 'pipe'],
    env: {},
    cwd: dir,
  });
  let stderr = '';
  let over = false;
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_KEPT_CHARS);
  });
  // The watchdog's stdin breaks when it ends first; its exit already tells.
  child.stdin?.on('error', () => undefined);
  const exited = new Promise<void>((resolve) => {
    const end = (why?: Error) => {
      if (why) stderr += why.message;
      over = true;
      resolve();
    };
    child.once('exit', () => end());
    child.once('error', end);
  });
  return { child, exited, hasExited: () => over, stderr: () => stderr };
}

/**
 * True once a real ListTables is answered by this very process. Its own "listening" line is required too: between picking a port and
 * binding it another program may have taken the port, and would answer in its place.
 */
async function isReady(launched: Launched, endpoint: string, clock: Clock): Promise<boolean> {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
  const client = new DynamoDBClient({ endpoint, region: 'us-east-1', credentials, maxAttempts: 1 });
  const deadlineMs = clock.monotonicMs() + READY_TIMEOUT_MS;
  try {
    while (!launched.hasExited() && clock.monotonicMs() < deadlineMs) {
      const answered = await client.send(new ListTablesCommand({ Limit: 1 })).then(
        () => true,
        // Refused until it listens; the deadline ends it otherwise.
        () => false,
      );
      if (answered && launched.stderr().includes('listening on')) return true;
      await sleep(clock, READY_POLL_MS);
    }
    return false;
  } finally {
    client.destroy();
  }
}

async function stop(launched: Launched, clock: Clock): Promise<void> {
  if (launched.hasExited()) return;
  launched.child.kill('SIGTERM');
  const cancel = clock.after(STOP_GRACE_MS, () => {
    // For the watchdog the end of stdin is what kills the database; for setpriv the signal is.
    launched.child.stdin?.end();
    if (!launched.child.stdin) launched.child.kill('SIGKILL');
  });
  await launched.exited;
  cancel();
}

/**
 * Starts dynoxide with its data under `options.dir` and resolves when it answers.
 * `dynoxide_missing` and `dynoxide_failed` carry one line that says what to do.
 */
export async function startDynamodb(options: DynamodbOptions): Promise<DynamodbStart> {
  const clock = options.clock ?? systemClock;
  const binary = options.binary ?? findDynoxide();
  if (binary === undefined) {
    const message = `The embedded DynamoDB (${PACKAGE}) is not installed on this platform: name another one with --dynamodb-endpoint <url>.`;
    return { ok: false, code: 'dynoxide_missing', message };
  }
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  let lastStderr = '';
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt += 1) {
    const port = await (options.pickPort ?? freePort)();
    const endpoint = `http://127.0.0.1:${port}`;
    const launched = launch(binary, port, options.dir, options.setprivPath);
    if (await isReady(launched, endpoint, clock)) {
      const pid = launched.child.pid ?? 0;
      return {
        ok: true,
        dynamodb: { endpoint, port, pid, exited: launched.exited, stop: () => stop(launched, clock) },
      };
    }
    lastStderr = launched.stderr().trim();
    await stop(launched, clock);
    if (!/already in use/i.test(lastStderr)) break;
  }
  const message = `The embedded DynamoDB did not start (${lastStderr.split('\n').at(-1) || 'no output'}): name another one with --dynamodb-endpoint <url>.`;
  return { ok: false, code: 'dynoxide_failed', message };
}
