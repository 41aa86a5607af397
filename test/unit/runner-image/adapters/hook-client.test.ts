import { spawn } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOOK_CLIENT_FILE } from '../../../../runner-image/src/adapters/claude-code/launch.ts';
import {
  type HookRequest,
  type HookServer,
  startHookServer,
} from '../../../../runner-image/src/adapters/hook-server.ts';
import { HOOK_REQUEST_MAX_BYTES } from '../../../../shared/limits.ts';

let folder: string;
let server: HookServer | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'village-hook-test-'));
});
afterEach(async () => {
  await server?.stop();
  server = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const serve = async (answer: (request: HookRequest) => Promise<string>, privateDir = folder) => {
  server = await startHookServer({ privateDir, answer });
  return server.socketPath;
};
/** What a crash of the runner does to its connections and its socket. */
const crash = async () => {
  await server?.stop();
  server = undefined;
};

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the client; `onStart` gets what kills it. */
function client(
  args: readonly string[],
  stdin: string,
  onStart: (kill: (signal: NodeJS.Signals) => void) => void = () => undefined,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [HOOK_CLIENT_FILE, ...args], { env: {}, stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (text) => {
      stdout += text;
    });
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    child.stdin.on('error', () => undefined);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.end(stdin);
    onStart((signal) => child.kill(signal));
  });
}
const argsFor = (socketPath: string, over: { fail?: string; deadlineMs?: string; maxBytes?: string } = {}) => [
  socketPath,
  over.fail ?? '2',
  over.deadlineMs ?? '20000',
  over.maxBytes ?? '100000',
];

describe('hook client and server', () => {
  it('carries a request, line breaks and all, and prints the answer', async () => {
    const path = await serve(async ({ body }) => JSON.stringify({ got: body }));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const ended = await client(argsFor(path), '{"tool":\n"ünïcode"}\n');
    expect(ended).toEqual({ code: 0, stdout: '{"got":{"tool":"ünïcode"}}', stderr: '' });
  });

  it('blocks when the runner refuses, fails, or answers nonsense', async () => {
    const path = await serve(() => Promise.reject(new Error('the gate does not stand')));
    expect(await client(argsFor(path), '{}')).toMatchObject({
      code: 2,
      stdout: '',
      stderr: 'agent-village gate: the gate does not stand\n',
    });
    expect(await client(argsFor(path), 'not json')).toMatchObject({ code: 2, stdout: '' });
    expect(await client([], '{}')).toMatchObject({ code: 2, stdout: '' });
    for (const nonsense of ['null', '{"v":2,"stdout":"x"}', '{"v":1,"stdout":7}', '{"v":1,"std', '{"v":1}', ' ']) {
      const other = createServer((socket) => socket.resume().end(nonsense));
      const otherPath = join(folder, 'other.sock');
      await new Promise<void>((resolve) => other.listen(otherPath, resolve));
      expect(await client(argsFor(otherPath), '{}')).toMatchObject({ code: 2, stdout: '' });
      await new Promise((resolve) => other.close(resolve));
    }
  });

  it('blocks at its deadline when nobody listens, and when nobody says a word', async () => {
    const soon = { deadlineMs: '400' };
    const nobody = await client(argsFor(join(folder, 'nobody.sock'), soon), '{}');
    expect(nobody).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('repeat the call') });
    let asked = 0;
    const mute = createServer((socket) => {
      asked += 1;
      socket.resume().end();
    });
    const path = join(folder, 'mute.sock');
    await new Promise<void>((resolve) => mute.listen(path, resolve));
    expect(await client(argsFor(path, soon), '{}')).toMatchObject({ code: 2, stdout: '' });
    expect(asked).toBeGreaterThan(1);
    await new Promise((resolve) => mute.close(resolve));
  });

  it('waits for a runner that is not there yet, over the socket file that a dead one left', async () => {
    const path = join(folder, 'hook.sock');
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(path, resolve));
    const stale = join(folder, 'stale.sock');
    linkSync(path, stale);
    await new Promise((resolve) => dead.close(resolve));
    renameSync(stale, path);
    const waiting = client(argsFor(path), '{"tool":1}');
    // Refused at least once before anybody listens.
    await client(argsFor(path, { deadlineMs: '300' }), '{}');
    expect(await serve(async ({ body }) => `later ${JSON.stringify(body)}`)).toBe(path);
    expect(await waiting).toEqual({ code: 0, stdout: 'later {"tool":1}', stderr: '' });
  });

  it('asks again, under the same key, when the runner dies over its request', async () => {
    const keys: string[] = [];
    let asked = Promise.withResolvers<void>();
    const neverAnswers = async ({ key }: HookRequest): Promise<string> => {
      keys.push(key);
      asked.resolve();
      return new Promise(() => undefined);
    };
    const path = await serve(neverAnswers);
    const held = client(argsFor(path), '{"tool":2}');
    for (let round = 0; round < 2; round += 1) {
      await asked.promise;
      await crash();
      asked = Promise.withResolvers();
      await serve(neverAnswers);
    }
    await asked.promise;
    await crash();
    const answered: string[] = [];
    server = await startHookServer({
      privateDir: folder,
      answer: async ({ key }) => {
        keys.push(key);
        return 'denied or not, it is said';
      },
      onAnswered: (key) => answered.push(key),
    });
    expect(await held).toEqual({ code: 0, stdout: 'denied or not, it is said', stderr: '' });
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
    expect(answered).toEqual([keys[0]]);
    // Another client with the same words is another call.
    await client(argsFor(path), '{"tool":2}');
    expect(new Set(keys).size).toBe(2);
  });

  it('fails without blocking where blocking would do harm', async () => {
    const path = await serve(() => Promise.reject(new Error('no')));
    expect(await client(argsFor(path, { fail: '1' }), '{}')).toMatchObject({ code: 1, stdout: '' });
  });

  it('blocks at its deadline and asks for the call again; the server learns that nobody waits', async () => {
    const gone = Promise.withResolvers<void>();
    const path = await serve(({ gone: signal }) => {
      signal.addEventListener('abort', () => gone.resolve());
      return new Promise(() => undefined);
    });
    const ended = await client(argsFor(path, { deadlineMs: '300' }), '{}');
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('repeat the call') });
    await gone.promise;
  });

  it.each(['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'] as const)(
    'blocks when %s ends it while it waits',
    async (signal) => {
      const asked = Promise.withResolvers<void>();
      const path = await serve(() => {
        asked.resolve();
        return new Promise(() => undefined);
      });
      const killed = client(argsFor(path), '{}', (kill) => void asked.promise.then(() => kill(signal)));
      expect(await killed).toMatchObject({ code: 2, stdout: '' });
    },
  );

  it('counts no time in which it was frozen', async () => {
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<string>();
    const path = await serve(() => {
      asked.resolve();
      return answer.promise;
    });
    const frozen = client(argsFor(path, { deadlineMs: '1500' }), '{}', (kill) => {
      void asked.promise.then(async () => {
        kill('SIGSTOP');
        // As long as the deadline, on the clock of a client that was not frozen.
        await client(argsFor(join(folder, 'nobody.sock'), { deadlineMs: '1500' }), '{}');
        kill('SIGCONT');
        answer.resolve('held');
      });
    });
    expect(await frozen).toEqual({ code: 0, stdout: 'held', stderr: '' });
  });

  it('refuses requests that are too large, at both ends', async () => {
    let asked = 0;
    const path = await serve(async () => {
      asked += 1;
      return '';
    });
    expect(await client(argsFor(path, { maxBytes: '10' }), '{"a":"0123456789"}')).toMatchObject({
      code: 2,
      stdout: '',
    });
    for (const head of [`${HOOK_REQUEST_MAX_BYTES + 1}\n`, 'nonsense\n', '-1\n', '2\n', '1'.repeat(60)]) {
      const socket = connect(path);
      socket.on('error', () => undefined).resume();
      socket.write(head);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(asked).toBe(0);
  });

  it('listens elsewhere when the private path is too long for a socket, and leaves nothing there', async () => {
    const long = join(folder, 'x'.repeat(100));
    mkdirSync(long);
    const path = await serve(async () => 'ok', long);
    expect(Buffer.byteLength(path)).toBeLessThan(108);
    expect(await client(argsFor(path), '{}')).toMatchObject({ code: 0, stdout: 'ok' });
    await server?.stop();
    server = undefined;
    expect(() => statSync(join(path, '..'))).toThrow('ENOENT');
  });
});
