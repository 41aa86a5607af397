/** `village-runner` as a person starts it: its words, its credential, its folders, its end. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SessionConfig } from '../../shared/session.ts';
import { type FakeControlPlane, startFakeControlPlane } from '../fakes/control-plane.ts';
import { AGENT_ID, makeRepository, pidsWith, sessionIdOf } from './runner-fixture.ts';

const MAIN = fileURLToPath(new URL('../../runner-image/src/host/main.ts', import.meta.url));
const SECRET_OF_PERSON = 'sk-of-the-person-0123456789';

const cleanUps: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface Started {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  said(): string;
}

const setUp = async () => {
  const root = mkdtempSync(join(tmpdir(), 'village-runner-'));
  cleanUps.push(() => rmSync(root, { recursive: true, force: true }));
  const temporary = join(root, 'tmp');
  mkdirSync(temporary, { mode: 0o700 });
  const repository = makeRepository(join(root, 'origin'));
  const config = SessionConfig.parse({
    ...{ sessionId: sessionIdOf('A'), tenantId: 'local', agentId: AGENT_ID, provider: 'shell', buildId: 'local' },
    ...{ model: 'default', repository: { url: repository } },
  });
  const control = await startFakeControlPlane({
    config,
    kind: 'group',
    credentials: {
      expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      model: { kind: 'none' },
      repository: { token: null, username: null },
      inputs: {},
    },
  });
  cleanUps.push(() => control.close());
  const start = (...args: string[]): Started => {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { PATH: process.env.PATH, HOME: root, TMPDIR: temporary, ANTHROPIC_API_KEY: SECRET_OF_PERSON },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    cleanUps.push(() => {
      child.kill('SIGKILL');
      return exited;
    });
    return { child, exited, said: () => said };
  };
  return { root, control, config, start, folder: join(root, '.local/state/agent-village/runner') };
};

const helloOf = ({ frames }: FakeControlPlane, count = 1) => {
  const hellos = frames.filter((frame) => frame.type === 'hello');
  return hellos.length >= count ? hellos.at(-1) : undefined;
};

describe('village-runner', () => {
  it('serves sessions, ends in order, and goes on later without its token', async () => {
    const { control, config, start, folder } = await setUp();
    const first = start('--url', control.url, '--token', control.token, '--max-sessions', '2');
    expect(await control.until('hello', () => helloOf(control))).toMatchObject({
      capacity: 2,
      clis: { shell: expect.stringMatching(/^\d+\.\d+/) },
      sessions: [],
    });
    const session = control.add(config);
    await control.until('running', () =>
      session.events.find((event) => event.type === 'session_state_changed' && event.toState === 'running'),
    );
    first.child.kill('SIGTERM');
    expect(await first.exited).toBe(0);
    expect(session.isOpen).toBe(false);
    expect(first.said()).toMatch(/\d\d:\d\d:\d\d info {2}assigned {2}sessionId=ses_/);
    expect(first.said()).not.toContain(control.token.slice(-64));
    const dial = join(folder, 'state', 'dial.json');
    expect(statSync(dial).mode & 0o777).toBe(0o600);
    expect(readFileSync(dial, 'utf8')).not.toContain(control.token);

    const hellos = control.frames.filter(({ type }) => type === 'hello').length;
    const second = start();
    await control.until('hello again', () => helloOf(control, hellos + 1));
    second.child.kill('SIGINT');
    expect(await second.exited).toBe(0);
    expect(control.problems).toEqual([]);
  });

  it('hands nothing of the person’s environment on but what it needs', async () => {
    const { control, config, root, start } = await setUp();
    const runner = start('--url', control.url, '--token', control.token);
    await control.until('hello', () => helloOf(control));
    const session = control.add(config);
    await control.until('running', () =>
      session.events.find((event) => event.type === 'session_state_changed' && event.toState === 'running'),
    );
    const others = pidsWith(root).filter((pid) => pid !== runner.child.pid);
    expect(others.length).toBeGreaterThanOrEqual(3);
    for (const pid of others) expect(readFileSync(`/proc/${pid}/environ`, 'latin1')).not.toContain(SECRET_OF_PERSON);
  });

  it('lets nobody share its folder', async () => {
    const { control, start, folder } = await setUp();
    start('--url', control.url, '--token', control.token);
    await control.until('hello', () => helloOf(control));
    const other = start('--url', control.url, '--token', control.token);
    expect(await other.exited).toBe(1);
    expect(other.said()).toContain(`another runner uses ${join(folder, 'state')}: stop it, or name another folder`);
  });

  it('ends with 1 and a clear line when it is revoked, and forgets its credential', async () => {
    const { control, start, folder } = await setUp();
    const runner = start('--url', control.url, '--token', control.token);
    await control.until('hello', () => helloOf(control));
    control.revoke();
    expect(await runner.exited).toBe(1);
    expect(runner.said()).toContain('The control plane refuses this runner (403): it was revoked');
    expect(existsSync(join(folder, 'state'))).toBe(false);
    const again = start();
    expect(await again.exited).toBe(1);
    expect(again.said()).toContain('keeps no credential: start once with --url and --token');
  });

  it('leaves nothing running when it is killed', async () => {
    const { control, config, root, start } = await setUp();
    const runner = start('--url', control.url, '--token', control.token);
    await control.until('hello', () => helloOf(control));
    const session = control.add(config);
    await control.until('running', () =>
      session.events.find((event) => event.type === 'session_state_changed' && event.toState === 'running'),
    );
    runner.child.kill('SIGKILL');
    await vi.waitFor(() => expect(pidsWith(root)).toEqual([]), { timeout: 20_000, interval: 50 });
  });

  it('gives its sessions back at the first Ctrl-C, in order', async () => {
    const { control, config, start, root } = await setUp();
    const runner = start('--url', control.url, '--token', control.token);
    await control.until('hello', () => helloOf(control));
    const session = control.add(config);
    await control.until('running', () =>
      session.events.find((event) => event.type === 'session_state_changed' && event.toState === 'running'),
    );
    runner.child.kill('SIGINT');
    expect(await runner.exited).toBe(0);
    expect(session.events.at(-1)).toMatchObject({ type: 'epoch_drained', checkpointKey: expect.any(String) });
    expect(runner.said()).toContain('ending in order, sessions go on elsewhere; once more ends them at once');
    expect(pidsWith(root)).toEqual([]);
  });

  it('leaves at once at the second, whatever the first still waits for', async () => {
    const { control, config, start, root } = await setUp();
    const runner = start('--url', control.url, '--token', control.token);
    await control.until('hello', () => helloOf(control));
    const session = control.add(config);
    await control.until('running', () =>
      session.events.find((event) => event.type === 'session_state_changed' && event.toState === 'running'),
    );
    control.hangPuts('lost');
    runner.child.kill('SIGINT');
    await control.until('an upload that nobody answers', () => control.hangingPuts.length > 0);
    runner.child.kill('SIGINT');
    await runner.exited;
    expect(pidsWith(root)).toEqual([]);
    // It went before the first had come to its end.
    expect(session.isOpen).toBe(true);
    expect(runner.said()).not.toContain('a step of the end took too long');
  });

  it.each([
    ['an unknown option', ['--tokn', 'x'], "Unknown option '--tokn'"],
    ['an address that is none', ['--url', 'village.example'], '--url must be an http or https address'],
    ['an address of something else', ['--url', 'ftp://village.example'], '--url must be an http or https address'],
    [
      'a token that was cut',
      ['--token', 'rr.local.rnr_1.fff'],
      '--token is no token of a runner: copy the whole command',
    ],
    ['no token at all', ['--url', 'http://127.0.0.1:1'], 'keeps no credential: start once with --url and --token'],
  ])('says what to do about %s', async (_what, args, line) => {
    const { start } = await setUp();
    const bad = start(...args);
    expect(await bad.exited).toBe(1);
    expect(bad.said()).toContain(line);
    expect(bad.said()).toContain('village-runner: --help says what there is');
    expect(bad.said()).not.toMatch(/^\s+at /m);
  });

  it('says what is wrong with what it was asked', async () => {
    const { start } = await setUp();
    const bad = start('--url', 'nonsense', '--token', 'x', '--max-sessions', '99');
    expect(await bad.exited).toBe(1);
    expect(
      bad
        .said()
        .split('\n')
        .filter((line) => line.startsWith('village-runner: --')),
    ).toHaveLength(4);
    const help = start('--help');
    expect(await help.exited).toBe(0);
    expect(help.said()).toContain('usage: village-runner');
  });
});
