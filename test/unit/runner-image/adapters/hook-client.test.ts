import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HOOK_CLIENT_FILE } from '../../../../runner-image/src/adapters/claude-code/launch.ts';
import { type HookServer, startHookServer } from '../../../../runner-image/src/adapters/hook-server.ts';
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

const serve = async (answer: (request: unknown, gone: AbortSignal) => Promise<string>, privateDir = folder) => {
  server = await startHookServer({ privateDir, answer });
  return server.socketPath;
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
  onStart: (kill: () => void) => void = () => undefined,
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
    onStart(() => child.kill('SIGTERM'));
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
    const path = await serve(async (request) => JSON.stringify({ got: request }));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const ended = await client(argsFor(path), '{"tool":\n"ünïcode"}\n');
    expect(ended).toEqual({ code: 0, stdout: '{"got":{"tool":"ünïcode"}}', stderr: '' });
  });

  it('blocks when the runner fails, answers nonsense, or is not there', async () => {
    const path = await serve(() => Promise.reject(new Error('no')));
    expect(await client(argsFor(path), '{}')).toMatchObject({ code: 2, stdout: '' });
    expect(await client(argsFor(path), 'not json')).toMatchObject({ code: 2, stdout: '' });
    expect(await client(argsFor(join(folder, 'nobody.sock')), '{}')).toMatchObject({ code: 2, stdout: '' });
    expect(await client([], '{}')).toMatchObject({ code: 2, stdout: '' });
    for (const nonsense of ['', 'null', '{"v":2,"stdout":"x"}', '{"v":1,"stdout":7}', '{"v":1,"std']) {
      const other = createServer((socket) => socket.resume().end(nonsense));
      const otherPath = join(folder, 'other.sock');
      await new Promise<void>((resolve) => other.listen(otherPath, resolve));
      expect(await client(argsFor(otherPath), '{}')).toMatchObject({ code: 2, stdout: '' });
      await new Promise((resolve) => other.close(resolve));
    }
  });

  it('fails without blocking where blocking would do harm', async () => {
    expect(await client(argsFor(join(folder, 'nobody.sock'), { fail: '1' }), '{}')).toMatchObject({
      code: 1,
      stdout: '',
    });
  });

  it('blocks at its deadline and asks for the call again; the server learns that nobody waits', async () => {
    const gone = Promise.withResolvers<void>();
    const path = await serve((_request, signal) => {
      signal.addEventListener('abort', () => gone.resolve());
      return new Promise(() => undefined);
    });
    const ended = await client(argsFor(path, { deadlineMs: '300' }), '{}');
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('repeat the call') });
    await gone.promise;
  });

  it('blocks when it is ended while it waits, and when the runner goes away', async () => {
    let asked = Promise.withResolvers<void>();
    const path = await serve(() => {
      asked.resolve();
      return new Promise(() => undefined);
    });
    const killed = client(argsFor(path), '{}', (kill) => void asked.promise.then(kill));
    expect(await killed).toMatchObject({ code: 2, stdout: '' });
    asked = Promise.withResolvers<void>();
    const left = client(argsFor(path), '{}');
    await asked.promise;
    await server?.stop();
    server = undefined;
    expect(await left).toMatchObject({ code: 2, stdout: '' });
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
    for (const head of [`${HOOK_REQUEST_MAX_BYTES + 1}\n`, 'nonsense\n', '-1\n', '1'.repeat(40)]) {
      const socket = connect(path);
      socket.on('error', () => undefined);
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
