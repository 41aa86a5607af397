/** A real village in a child process, in folders of its own: nothing of it outlives the test, also when the test throws or is killed. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultCliCache } from '../../local/builds/install-cli.ts';
import { dieWithParent } from '../../local/dynamodb/die-with-parent.ts';
import { sleep, systemClock } from '../../shared/clock.ts';
import { EndpointFile } from '../../shared/http.ts';
import { processesAt } from './village-processes.ts';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The version of Claude Code that the tests drive; `npm test` fetches it into the cache. */
export const CLAUDE_VERSION = '2.1.330';
const READY_TIMEOUT_MS = 60_000;
const CLI_TIMEOUT_MS = 90_000;
const OUTPUT_KEPT_CHARS = 200_000;
const POLL_MS = 25;
const LOG_SHOWN_CHARS = 2_000;

/** Where a village answers, and the token of its command line. */
export interface Endpoint {
  readonly url: string;
  readonly token: string;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface VillageSetup {
  /** After `--data-dir <dir> --no-open`; `--port 0` unless a port is among them. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** First file; `local/start.mjs` is what `npm start` runs. */
  readonly node?: string;
}

/** One life of `npm start`. */
export interface VillageProcess {
  readonly pid: number;
  /** Exit code, or the signal's name. */
  readonly exited: Promise<number | string>;
  output(): string;
  signal(name: NodeJS.Signals): void;
}

/** Folders and the lives of a village in them. `close` must be called; it kills whatever is left. */
export interface TestVillage {
  readonly root: string;
  readonly dataDir: string;
  /** CLIs as `builds add` finds them: the real ones are linked in where this machine has them. */
  readonly cliCache: string;
  /** Starts a life and returns at once. */
  launch(setup?: VillageSetup): VillageProcess;
  /** Starts a life and waits until it is ready. */
  start(setup?: VillageSetup): Promise<VillageProcess & Endpoint>;
  /** The endpoint of the life that runs. */
  endpoint(): Endpoint;
  /** Runs the `village` command; a code other than 0 is an answer, not an error. */
  command(...args: string[]): Promise<CommandResult>;
  /** The same without a data directory, found by the variables given. */
  commandWith(env: Readonly<Record<string, string>>, ...args: string[]): Promise<CommandResult>;
  /** The same, whose last line must be JSON; throws unless it ends with `code`. */
  json(...args: string[]): Promise<unknown>;
  api(method: string, path: string, body?: unknown, token?: string): Promise<{ status: number; body: unknown }>;
  /** Puts a program into the cache of CLIs as `claude_code@<version>`; `script` is a whole sh script. */
  addFakeClaude(version: string, script: string): string;
  /** Live processes that belong to this village, its own one included. */
  processes(): { pid: number; command: string }[];
  /** What runners logged, the end of each: for messages of tests that fail. */
  taskLogs(): string;
  /** A git repository with one commit, made when first asked for; returns its path. */
  repository(name: string, files?: Readonly<Record<string, string>>): string;
  close(): Promise<void>;
}

/** Resolves with the first answer that is not undefined; a time-out names what was waited for and what was seen last. */
export const until = async <T>(
  what: string,
  ask: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 30_000,
  seen: () => string = () => '',
): Promise<T> => {
  const deadlineMs = systemClock.monotonicMs() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`waited ${timeoutMs} ms for ${what} ${seen()}`);
    await sleep(systemClock, POLL_MS);
  }
};

/** What a program gets that must not know its user: the pinned Node first, a home and a temporary folder of its own. */
const environmentIn = (root: string, cliCache: string): Record<string, string> => ({
  PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
  HOME: join(root, 'home'),
  TMPDIR: join(root, 'tmp'),
  VILLAGE_CLI_CACHE: cliCache,
  NO_COLOR: '1',
  LOG_LEVEL: 'WARN',
});

const makeRepository = (folder: string, home: string, files: Readonly<Record<string, string>>): string => {
  const env = { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: home, GIT_CONFIG_NOSYSTEM: '1' };
  const git = (...args: string[]) => {
    const identity = ['-c', 'user.name=tester', '-c', 'user.email=tester@example.invalid'];
    execFileSync('git', [...identity, ...args], { cwd: folder, stdio: 'ignore', env });
  };
  if (existsSync(join(folder, '.git'))) return folder;
  mkdirSync(folder, { recursive: true });
  git('init', '-q', '-b', 'main');
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  git('add', '.');
  git('commit', '-qm', 'first');
  return folder;
};

const spawnVillage = (
  dataDir: string,
  base: Record<string, string>,
  setup: VillageSetup,
): [VillageProcess, ChildProcess] => {
  const args = setup.args ?? [];
  const port = args.includes('--port') ? [] : ['--port', '0'];
  const argv = ['local/start.mjs', '--data-dir', dataDir, '--no-open', ...port, ...args];
  // The kernel kills it when this process ends, however that happens.
  const { command, args: wrapped, stdin } = dieWithParent(setup.node ?? process.execPath, argv);
  const env = { ...base, ...setup.env };
  const child = spawn(command, wrapped, { cwd: ROOT, env, stdio: [stdin, 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_KEPT_CHARS);
    });
  const exited = new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  const life = {
    pid: child.pid ?? 0,
    exited,
    output: () => output,
    signal: (name: NodeJS.Signals) => void child.kill(name),
  };
  return [life, child];
};

const runCommand = (env: Record<string, string>, cwd: string, args: readonly string[]): Promise<CommandResult> =>
  new Promise((resolve) => {
    const options = { cwd, env, timeout: CLI_TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 } as const;
    const child = execFile(process.execPath, [join(ROOT, 'cli/main.ts'), ...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
    child.stdin?.end();
  });

const readLogs = (folder: string): string =>
  (existsSync(folder) ? readdirSync(folder) : [])
    .map((name) => `${name}: ${readFileSync(join(folder, name), 'utf8').slice(-LOG_SHOWN_CHARS)}`)
    .join('\n');

const linkRealClis = (cliCache: string): void => {
  mkdirSync(cliCache, { recursive: true });
  const real = join(defaultCliCache(), `claude_code@${CLAUDE_VERSION}`);
  if (existsSync(real)) symlinkSync(real, join(cliCache, `claude_code@${CLAUDE_VERSION}`));
};

/** Program of the real Claude Code on this machine, or undefined; with CI set its absence is an error. */
export const realClaude = (): string | undefined => {
  const file = join(defaultCliCache(), `claude_code@${CLAUDE_VERSION}`, 'node_modules', '.bin', 'claude');
  if (existsSync(file)) return file;
  if (process.env.CI) throw new Error(`prerequisite missing: ${file}; npm test fetches it`);
  return undefined;
};

/** Makes the folders; `start` makes the village. Paths are short: sockets live in them. */
export const testVillage = (): TestVillage => {
  const root = mkdtempSync(join(tmpdir(), 'vt-'));
  const dataDir = join(root, 'data');
  const cliCache = join(root, 'clis');
  for (const name of ['home', 'tmp']) mkdirSync(join(root, name), { mode: 0o700 });
  linkRealClis(cliCache);
  const base = environmentIn(root, cliCache);
  const lives: [VillageProcess, ChildProcess][] = [];
  const endpoint = (): Endpoint => EndpointFile.parse(JSON.parse(readFileSync(join(dataDir, 'endpoint.json'), 'utf8')));

  const launch = (setup: VillageSetup = {}): VillageProcess => {
    const life = spawnVillage(dataDir, base, setup);
    lives.push(life);
    return life[0];
  };
  const start = async (setup: VillageSetup = {}) => {
    const life = launch(setup);
    let ended: number | string | undefined;
    void life.exited.then((how) => {
      ended = how;
    });
    const ask = () => {
      if (ended !== undefined) throw new Error(`the village ended with ${ended}: ${life.output()}`);
      return existsSync(join(dataDir, 'endpoint.json')) && life.output().includes('is ready at')
        ? endpoint()
        : undefined;
    };
    return { ...life, ...(await until('the village', ask, READY_TIMEOUT_MS, life.output)) };
  };
  const command = (...args: string[]) => runCommand(base, root, ['--data-dir', dataDir, ...args]);

  return {
    root,
    dataDir,
    cliCache,
    launch,
    start,
    endpoint,
    command,
    commandWith: (env, ...args) => runCommand({ ...base, ...env }, root, args),
    async json(...args) {
      const result = await command(...args, '--json');
      if (result.code !== 0) throw new Error(`village ${args.join(' ')} ended with ${result.code}: ${result.stderr}`);
      return JSON.parse(result.stdout);
    },
    async api(method, path, body, token = endpoint().token) {
      const response = await fetch(endpoint().url + path, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
    },
    addFakeClaude(version, script) {
      const file = join(cliCache, `claude_code@${version}`, 'node_modules', '.bin', 'claude');
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, script);
      chmodSync(file, 0o755);
      return file;
    },
    processes: () => processesAt(root),
    taskLogs: () => readLogs(join(dataDir, 'tasks')),
    repository: (name, files = { 'README.md': 'hello\n' }) =>
      makeRepository(join(root, 'repositories', name), join(root, 'home'), files),
    async close() {
      for (const [{ exited }, child] of lives) {
        child.kill('SIGKILL');
        child.stdin?.destroy();
        await exited;
      }
      // Its children notice its end by themselves; what does not is a failure of its own test, and is ended here.
      await until('the children', () => (processesAt(root).length === 0 ? true : undefined), 10_000).catch(() => {
        for (const { pid } of processesAt(root)) process.kill(pid, 'SIGKILL');
      });
      rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
};
