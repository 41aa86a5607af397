/** `npm start` and the command line as a person uses them: ready, found, refused with one line, and gone without a trace. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EndpointFile } from '../../shared/http.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const READY_TIMEOUT_MS = 60_000;
const run = promisify(execFile);

interface Village {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  readonly output: () => string;
}

let root: string;
let villages: Village[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'village-start-'));
  villages = [];
});
afterEach(async () => {
  for (const { child, exited } of villages) {
    child.kill('SIGKILL');
    await exited;
  }
  await vi.waitFor(() => rmSync(root, { recursive: true, force: true }), { timeout: 5_000 });
});

const dataDir = () => join(root, 'data');
const start = (...args: string[]): Village => {
  const argv = ['local/start.mjs', '--data-dir', dataDir(), '--no-open', ...args];
  const env = { PATH: process.env.PATH, HOME: root, NO_COLOR: '1', LOG_LEVEL: 'WARN' };
  const child = spawn(process.execPath, argv, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const village = { child, exited, output: () => output };
  villages.push(village);
  return village;
};
const endpointPath = () => join(dataDir(), 'endpoint.json');
const ready = (village: Village) =>
  vi.waitFor(
    () => {
      // A village that was killed leaves its endpoint file to the next.
      if (!village.output().includes('The village is ready')) throw new Error(`not ready: ${village.output()}`);
      return EndpointFile.parse(JSON.parse(readFileSync(endpointPath(), 'utf8')));
    },
    { timeout: READY_TIMEOUT_MS, interval: 50 },
  );
/** Runs the command; never rejects for its exit code. */
const cli = async (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> => {
  const env = { PATH: process.env.PATH, HOME: root, NO_COLOR: '1' };
  const options = { cwd: ROOT, env, timeout: 30_000 };
  try {
    const { stdout, stderr } = await run(process.execPath, ['cli/main.ts', '--data-dir', dataDir(), ...args], options);
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, stdout, stderr };
  }
};
const childrenOf = async (pid: number | undefined): Promise<number[]> => {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? [] : children.split(' ').map(Number);
};
const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

describe('a village', () => {
  it('is found by the command line, keeps its data, and leaves nothing behind', async () => {
    const first = start('--port', '0');
    const endpoint = await ready(first);
    expect(statSync(endpointPath()).mode & 0o077).toBe(0);
    await vi.waitFor(() => expect(first.output()).toContain(`${endpoint.url}/signin#local.`));

    const builds = await cli('builds', 'list', '--json');
    expect(JSON.parse(builds.stdout).builds).toMatchObject([{ buildId: 'shell-system', status: 'ready' }]);
    const missing = await cli('sessions', 'show', 'ses_01M817YGBJPH11SXYBGPEAJZ4X', '--json');
    expect([missing.code, missing.stdout]).toEqual([3, '']);
    expect(JSON.parse(missing.stderr)).toMatchObject({ code: 'not_found', requestId: expect.any(String) });
    const unknown = await cli('builds', 'add', 'nonsense@1.0.0', '--json');
    expect([unknown.code, JSON.parse(unknown.stderr).code]).toEqual([1, 'invalid_request']);
    const link = await cli('open', '--json');
    expect(JSON.parse(link.stdout).url).toMatch(/\/signin#local\./);

    const children = await childrenOf(first.child.pid);
    expect(children.length).toBeGreaterThan(0);
    first.child.kill('SIGTERM');
    expect(await first.exited).toBe(0);
    expect(existsSync(endpointPath())).toBe(false);
    expect(children.filter(isAlive)).toEqual([]);
    expect((await cli('sessions', 'list')).stderr).toContain('npm start');

    const second = start('--port', '0');
    await ready(second);
    const again = await cli('builds', 'list', '--json');
    expect(JSON.parse(again.stdout)).toEqual(JSON.parse(builds.stdout));
    second.child.kill('SIGINT');
    expect(await second.exited).toBe(0);
  });

  it('lets only its own token add builds', async () => {
    const village = start('--port', '0');
    const { url, token } = await ready(village);
    const add = (headers: Record<string, string>) =>
      fetch(`${url}/local/builds`, { method: 'POST', body: '{"spec":"shell@system"}', headers });
    expect((await add({})).status).toBe(401);
    expect((await add({ authorization: 'Bearer x' })).status).toBe(401);
    expect((await add({ authorization: `Bearer ${token}`, origin: url })).status).toBe(401);
    const answer = await add({ authorization: `Bearer ${token}` });
    const lines = (await answer.text()).trim().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ kind: 'result', build: { buildId: 'shell-system' } });
    const bad = await fetch(`${url}/local/builds`, {
      method: 'POST',
      body: '{"spec":"../x"}',
      headers: { authorization: `Bearer ${token}` },
    });
    expect(bad.status).toBe(400);
  });

  it('takes its children with it when it is killed', async () => {
    const village = start('--port', '0');
    await ready(village);
    const children = await childrenOf(village.child.pid);
    village.child.kill('SIGKILL');
    await village.exited;
    await vi.waitFor(() => expect(children.filter(isAlive)).toEqual([]), { timeout: 10_000 });
    const next = start('--port', '0');
    await ready(next);
  });
});

describe('a session on the command line', () => {
  const makeRepository = async (): Promise<string> => {
    const repository = join(root, 'repository');
    const git = (...args: string[]) =>
      run('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args]);
    mkdirSync(repository);
    await git('init', '--quiet');
    writeFileSync(join(repository, 'README.md'), 'hello\n');
    await git('add', '.');
    await git('commit', '--quiet', '--message', 'first');
    return repository;
  };
  /** Processes that carry the mark of a task, and folders of tasks: those of this test's village by its data directory. */
  const tasksOf = (dir: string): number[] =>
    readdirSync('/proc').flatMap((name) => {
      try {
        const environment = readFileSync(`/proc/${Number(name)}/environ`, 'utf8');
        return environment.includes('VILLAGE_TASK_ID=') && environment.includes(dir) ? [Number(name)] : [];
      } catch {
        return []; // Not a process, or it ended meanwhile.
      }
    });

  it('is started, typed into, read, stopped, and diffed', async () => {
    const repository = await makeRepository();
    await ready(start('--port', '0', '--chaos', 'seed=3,reorder=0.2,duplicate=0.2'));
    const started = await cli('sessions', 'start', '--provider', 'shell', '--repo', repository, '--json');
    const { sessionId } = JSON.parse(started.stdout);
    expect(await cli('sessions', 'wait', sessionId, '--state', 'running', '--timeout', '30')).toMatchObject({
      code: 0,
    });
    expect(await cli('sessions', 'wait', sessionId, '--state', 'completed', '--timeout', '0')).toMatchObject({
      code: 1,
      stdout: 'running\n',
    });
    await cli('sessions', 'send', sessionId, 'echo made-$((40+2)) > new.txt; cat new.txt');
    await vi.waitFor(
      async () => expect((await cli('sessions', 'logs', sessionId)).stdout.split('\n')).toContain('made-42'),
      { timeout: 20_000, interval: 300 },
    );
    await cli('sessions', 'stop', sessionId);
    expect(await cli('sessions', 'wait', sessionId, '--state', 'completed', '--timeout', '40')).toMatchObject({
      code: 0,
    });
    expect(JSON.parse((await cli('sessions', 'diff', sessionId, '--json')).stdout)).toMatchObject({
      files: [{ path: 'new.txt', status: 'added', added: 1, removed: 0 }],
      linesAdded: 1,
    });
    expect((await cli('sessions', 'logs', sessionId)).stdout.split('\n')).toContain('made-42');
    const events = (await cli('sessions', 'logs', sessionId, '--json')).stdout.trim().split('\n');
    const numbers = events.map((line) => JSON.parse(line).seq);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    await vi.waitFor(() => expect(tasksOf(dataDir())).toEqual([]), { timeout: 10_000 });
  });

  it('goes on in its next epoch after a village that was killed, whose processes are gone', async () => {
    const repository = await makeRepository();
    const village = start('--port', '0');
    await ready(village);
    const started = await cli('sessions', 'start', '--provider', 'shell', '--repo', repository, '--json');
    const { sessionId } = JSON.parse(started.stdout);
    await cli('sessions', 'wait', sessionId, '--state', 'running', '--timeout', '30');
    expect(tasksOf(dataDir()).length).toBeGreaterThan(1);
    village.child.kill('SIGKILL');
    await village.exited;
    await vi.waitFor(() => expect(tasksOf(dataDir())).toEqual([]), { timeout: 15_000 });
    await ready(start('--port', '0'));
    const shown = async () => JSON.parse((await cli('sessions', 'show', sessionId, '--json')).stdout);
    const goesOn = async () => expect(await shown()).toMatchObject({ state: 'running', epoch: 2 });
    await vi.waitFor(goesOn, { timeout: 60_000, interval: 500 });
  });
});

describe('a start that cannot be', () => {
  const refused = async (village: Village): Promise<string[]> => {
    expect(await village.exited).toBe(1);
    return village
      .output()
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('  '));
  };

  it('says that another village uses the data directory', async () => {
    await ready(start('--port', '0'));
    const lines = await refused(start('--port', '0'));
    expect(lines).toEqual([expect.stringContaining('Another village')]);
    expect(existsSync(endpointPath())).toBe(true);
  });

  it('says that the port is taken, and starts nothing', async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
    const lines = await refused(start('--port', String(port)));
    server.close();
    expect(lines).toEqual([expect.stringContaining(`Port ${port} is taken`)]);
    expect(existsSync(join(dataDir(), 'dynamodb'))).toBe(false);
    expect(existsSync(join(dataDir(), 'village.lock'))).toBe(false);
  });

  it('says what is wrong with an option, and that no database answers', async () => {
    expect(await refused(start('--chaos', 'reorder=2'))).toEqual([expect.stringContaining('--chaos')]);
    const lines = await refused(start('--port', '0', '--dynamodb-endpoint', 'http://127.0.0.1:9'));
    expect(lines).toEqual([expect.stringContaining('http://127.0.0.1:9')]);
  });
});
