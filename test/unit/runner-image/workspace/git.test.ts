import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type GitCall, runGit } from '../../../../runner-image/src/workspace/git.ts';
import {
  gitEnvironment,
  guardArguments,
  inheritedVariables,
  trustConfig,
} from '../../../../runner-image/src/workspace/git-environment.ts';

let folder = '';
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'git-test-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const PATH = process.env.PATH ?? '';

/** A call of a program that stands for git and does what `script` says. */
const call = (script: string, more: Partial<GitCall> = {}): GitCall => {
  writeFileSync(join(folder, 'git'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { args: [], cwd: folder, home: folder, protocols: [], inherited: { PATH: `${folder}:${PATH}` }, ...more };
};

const isGone = (pid: string) =>
  !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');

describe('runGit', () => {
  it('leaves nothing running when the runner is killed', async () => {
    const pidFile = join(folder, 'pid');
    const held = call(`echo $$ > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; exec sleep 300`);
    const module = new URL('../../../../runner-image/src/workspace/git.ts', import.meta.url).href;
    const script = `const { runGit } = await import(${JSON.stringify(module)}); await runGit(${JSON.stringify(held)});`;
    const runner = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
    await vi.waitUntil(() => existsSync(pidFile), { timeout: 9_000 });
    const pid = readFileSync(pidFile, 'utf8').trim();
    runner.kill('SIGKILL');
    await vi.waitUntil(() => isGone(pid), { timeout: 9_000 });
  });

  it('returns code, output and the end of standard error', async () => {
    const script = 'cat; head -c 20000 /dev/zero | tr "\\0" e >&2; echo last >&2; exit 3';
    const result = await runGit(call(script, { stdin: 'in\0put' }));
    if (result.kind !== 'exited') throw new Error(result.kind);
    expect(result).toMatchObject({ code: 3, cut: false });
    expect(result.stdout.toString()).toBe('in\0put');
    expect(result.stderr).toMatch(/elast$/);
    expect(result.stderr.length).toBeLessThanOrEqual(8_192);
  });

  it('ends a call at its output cap', async () => {
    const result = await runGit(call('yes', { maxOutputBytes: 1_001 }));
    if (result.kind !== 'exited') throw new Error(result.kind);
    expect(result.cut).toBe(true);
    expect(result.stdout).toHaveLength(1_001);
  });

  it('kills what the call started when its time is over, also when that ignores signals', async () => {
    const pids = join(folder, 'pids');
    const script = `trap '' TERM INT HUP\necho $$ > ${pids}\nsleep 60 &\necho $! >> ${pids}\nwait`;
    expect(await runGit(call(script, { timeoutMs: 300 }))).toMatchObject({ kind: 'timeout' });
    const started = readFileSync(pids, 'utf8').trim().split('\n');
    expect(started).toHaveLength(2);
    await expect.poll(() => started.every(isGone)).toBe(true);
  });

  it('ends when it is cancelled, and does not start when it was before', async () => {
    const controller = new AbortController();
    const running = runGit(call(`touch ${folder}/started\nsleep 60`, { signal: controller.signal }));
    await expect.poll(() => existsSync(join(folder, 'started'))).toBe(true);
    controller.abort();
    expect(await running).toEqual({ kind: 'cancelled' });
    expect(await runGit(call(`touch ${folder}/again`, { signal: controller.signal }))).toEqual({ kind: 'cancelled' });
    expect(existsSync(join(folder, 'again'))).toBe(false);
  });

  it('says when git is missing, and when it ends without reading its input', async () => {
    const missing = { ...call('exit 0'), inherited: { PATH: '/nonexistent' } };
    expect(await runGit(missing)).toEqual({ kind: 'git_missing' });
    const big = 'x'.repeat(1_000_000);
    expect(await runGit(call('exit 0', { stdin: big }))).toMatchObject({ kind: 'exited', code: 0 });
  });

  it('gives git nothing of the environment that was not chosen', async () => {
    process.env.GIT_DIR = '/canary';
    try {
      const result = await runGit(call('env; echo "$@"', { variables: { GIT_INDEX_FILE: '/i' } }));
      if (result.kind !== 'exited') throw new Error(result.kind);
      const text = result.stdout.toString();
      expect(text).not.toContain('/canary');
      expect(text).toContain('GIT_INDEX_FILE=/i');
      expect(text).toContain('GIT_TERMINAL_PROMPT=0');
      expect(text).toContain('-c core.hooksPath=/dev/null');
    } finally {
      delete process.env.GIT_DIR;
    }
  });
});

describe('the environment of git', () => {
  it('allows exactly the named transports', () => {
    const settings = guardArguments(['https', 'ssh']);
    expect(settings).toEqual(expect.arrayContaining(['protocol.allow=never', 'protocol.https.allow=always']));
    expect(settings).toEqual(expect.arrayContaining(['protocol.ssh.allow=always', 'protocol.file.allow=never']));
    const environment = gitEnvironment({ home: '/h', protocols: ['https', 'ssh'], inherited: {} });
    expect(environment).toMatchObject({ GIT_ALLOW_PROTOCOL: 'https:ssh', GIT_CONFIG_GLOBAL: '/dev/null', HOME: '/h' });
  });

  it('binds the token to its host and keeps it out of the arguments', () => {
    const authorization = { origin: 'https://example.com', header: 'Authorization: Basic canary' };
    const environment = gitEnvironment({ home: '/h', protocols: ['https'], inherited: {}, authorization });
    expect(environment).toMatchObject({
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'http.https://example.com/.extraHeader',
      GIT_CONFIG_VALUE_0: 'Authorization: Basic canary',
    });
    expect(guardArguments(['https']).join(' ')).not.toContain('canary');
  });

  it('takes over what is listed only', () => {
    const kept = inheritedVariables({
      PATH: '/bin',
      GIT_DIR: '/x',
      AWS_SECRET_ACCESS_KEY: 'x',
      HTTPS_PROXY: undefined,
    });
    expect(kept).toEqual({ PATH: '/bin' });
  });

  it('quotes folders it trusts', () => {
    expect(trustConfig(['/a"b\\c'])).toBe('[safe]\n\tdirectory = "/a\\"b\\\\c"\n');
  });
});
