import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { bash, collect, processesWith, type StartedHost, startHost, stateOf } from './pty-host-fixture.ts';

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const until = (condition: () => boolean) =>
  vi.waitFor(() => expect(condition()).toBe(true), { timeout: 20_000, interval: 5 });

describe('the life of pty-host and its runner', () => {
  let folder = '';
  let host: StartedHost | undefined;
  const start = (mode: string, env?: Record<string, string>) => {
    host = startHost(mode, env);
    return host;
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pty-host-life-'));
  });
  afterEach(async () => {
    host?.child.stdin?.end();
    await host?.exited;
    rmSync(folder, { recursive: true, force: true });
  });

  test('runners killed while output flows: their successors read the stream on without a lost or doubled byte', async () => {
    const file = join(folder, 'stream');
    const copy = join(folder, 'copy');
    const command = `stty raw -echo; for i in $(seq 1 60); do head -c 50000 /dev/zero | openssl enc -aes-128-ctr -nosalt -pass pass:$i 2>/dev/null | base64 -w0; sleep 0.01; done | tee ${copy}`;
    const started = start('record', { FAKE_RUNNER_FILE: file, FAKE_RUNNER_COMMAND: command });
    for (let index = 0; index < 3; index += 1) {
      const { pid } = await started.runner(index);
      const before = existsSync(file) ? statSync(file).size : 0;
      await until(() => existsSync(file) && statSync(file).size > before + 200_000);
      process.kill(pid, 'SIGKILL');
    }
    const exit = await started.line((line) => line.includes('"exit"'));
    expect(JSON.parse(exit)).toEqual({ exit: { kind: 'exited', exitCode: 0, signal: null } });
    expect(readFileSync(copy).length).toBeGreaterThan(4_000_000);
    expect(sha256(readFileSync(file))).toBe(sha256(readFileSync(copy)));
  });

  test('a runner that keeps crashing is given up: exit code 1', async () => {
    expect(await start('crash').exited).toEqual({ code: 1, signal: null });
  });

  test('a runner that is done ends pty-host with 0', async () => {
    expect(await start('done').exited).toEqual({ code: 0, signal: null });
  });

  test('SIGTERM lets the runner drain, then ends every session', async () => {
    const started = start('idle');
    const client = await started.connect();
    const shell = await client.spawn(bash('a'));
    await collect(shell).until(/\$/);
    started.child.kill('SIGTERM');
    expect(await started.exited).toEqual({ code: 0, signal: null });
    expect(processesWith(shell.mark)).toEqual([]);
    expect(await shell.exited).toEqual({ kind: 'lost' });
  });

  test('SIGTERM while a crashed runner waits to be started again: it is started, takes up what it held, and drains that', async () => {
    const started = start('last-words', { FAKE_RUNNER_FILE: join(folder, 'starts') });
    const { pid } = await started.runner(0);
    process.kill(pid, 'SIGKILL');
    await until(() => stateOf(pid) === undefined);
    started.child.kill('SIGTERM');
    await started.line((line) => line === 'drained');
    expect(await started.exited).toEqual({ code: 0, signal: null });
    expect(readFileSync(join(folder, 'starts'), 'utf8')).toBe('..');
  });

  test('a runner that does not drain is killed after the bound', async () => {
    const started = start('stubborn', { VILLAGE_DRAIN_MS: '200' });
    const { pid } = await started.runner(0);
    started.child.kill('SIGTERM');
    await started.line((line) => line === 'asked to drain');
    expect(await started.exited).toEqual({ code: 0, signal: null });
    expect(stateOf(pid)).toBeUndefined();
  });

  test('the death of the parent kills runner and sessions', async () => {
    const started = start('stubborn');
    const { pid, socketPath } = await started.runner(0);
    const client = await started.connect();
    const shell = await client.spawn(bash('a', `trap '' TERM HUP; setsid sleep 300 & echo ready; wait`));
    await collect(shell).until(/ready/);
    started.child.stdin?.end();
    expect(await started.exited).toEqual({ code: 1, signal: null });
    await until(() => stateOf(pid) === undefined);
    expect(processesWith(shell.mark)).toEqual([]);
    expect(existsSync(socketPath)).toBe(false);
  });

  test('SIGKILL of pty-host: the client says lost and the runner ends', async () => {
    const started = start('idle');
    const { pid, socketPath } = await started.runner(0);
    const client = await started.connect();
    const shell = await client.spawn(bash('a'));
    await collect(shell).until(/\$/);
    started.child.kill('SIGKILL');
    await client.lost;
    expect(await shell.exited).toEqual({ kind: 'lost' });
    await expect(shell.write('x')).rejects.toMatchObject({ code: 'host_gone' });
    await until(() => stateOf(pid) === undefined);
    await until(() => processesWith(shell.mark).length === 0);
    rmSync(join(socketPath, '..'), { recursive: true, force: true });
  });
});
