import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { PtyHost } from '../../runner-image/src/pty-host/client.ts';
import { PTY_THAW_SETTLE_MS } from '../../shared/limits.ts';
import { bash, collect, processesWith, type StartedHost, startHost, stateOf } from './pty-host-fixture.ts';

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const until = (condition: () => boolean) =>
  vi.waitFor(() => expect(condition()).toBe(true), { timeout: 20_000, interval: 10 });
/** Writes deterministic bytes without line ends, and the same to a file. */
const produce = (bytes: number, copy: string) =>
  `stty raw -echo; head -c ${bytes} /dev/zero | openssl enc -aes-128-ctr -nosalt -pass pass:x 2>/dev/null | base64 -w0 | tee ${copy}`;
const threadStates = (pid: number): string[] =>
  readdirSync(`/proc/${pid}/task`).map((thread) => stateOf(`${pid}/task/${thread}`) ?? 'X');

describe('pty-host', () => {
  let folder = '';
  let host: StartedHost;
  let client: PtyHost;
  /** Output that pty-host keeps of its first program. */
  const held = (sizeBytes: number) =>
    vi.waitFor(async () => expect((await client.list())[0]?.endOffset).toBeGreaterThanOrEqual(sizeBytes), {
      timeout: 20_000,
      interval: 10,
    });

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'pty-host-test-'));
    host = startHost('idle');
    client = await host.connect();
  });
  afterEach(async () => {
    client.close();
    host.child.stdin?.end();
    await host.exited;
    rmSync(folder, { recursive: true, force: true });
  });

  test('the socket is private', async () => {
    const { socketPath } = await host.runner(0);
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(socketPath)).mode & 0o777).toBe(0o700);
  });

  test('bash echoes what is typed, keeps its size, and reports its exit', async () => {
    const shell = await client.spawn(bash('echo'));
    const output = collect(shell);
    await output.until(/\$ /);
    await shell.write('echo $((40 + 2))\r');
    await output.until(/\r42\r\n/);
    await shell.resize(100, 30);
    await shell.write('stty size\r');
    await output.until(/\r30 100\r\n/);
    await shell.write('exit 5\r');
    expect(await shell.exited).toEqual({ kind: 'exited', exitCode: 5, signal: null });
  });

  test('what is typed under a lane is written once, in rising order, whoever repeats it', async () => {
    const shell = await client.spawn(bash('lanes'));
    const output = collect(shell);
    await output.until(/\$ /);
    const type = (on: typeof shell, number: number, text: string) => on.write(text, { lane: 'viewer 1', number });
    await type(shell, 1, 'echo a$((1));');
    await type(shell, 2, 'echo b$((2));');
    await type(shell, 2, 'echo again;');
    await type(shell, 1, 'echo again;');
    await shell.write('echo c$((3));', { lane: 'viewer 2', number: 1 });
    // Another runner, which knows of nothing.
    const next = await host.connect();
    // The first one may acknowledge more between the list and the adoption.
    const adopted = await vi.waitFor(async () => next.adopt('lanes', (await next.list())[0]?.ackedOffset ?? 0));
    expect(adopted.lanes).toEqual([
      ['viewer 1', 2],
      ['viewer 2', 1],
    ]);
    await type(adopted, 2, 'echo again;');
    await type(adopted, 3, '\r');
    const found = collect(adopted);
    await found.until(/a1\r\nb2\r\nc3\r\n/);
    expect(found.text()).not.toContain('again');
    next.close();
  });

  test('the environment is what was asked for, and the mark', async () => {
    const shell = await client.spawn({
      ...bash('env', 'env -0 | tr "\\0" "\\n" | sort'),
      env: { PATH: '/usr/bin:/bin', A: 'ä b' },
    });
    const output = collect(shell);
    await shell.exited;
    const names = output
      .text()
      .trim()
      .split('\r\n')
      .map((line) => line.split('=')[0]);
    // PWD and TERM come from node-pty; SHLVL and _ from bash.
    expect(names.sort()).toEqual(['A', 'PATH', 'PWD', 'SHLVL', 'TERM', 'VILLAGE_SESSION_MARK', '_']);
    expect(output.text()).toContain('A=ä b');
  });

  test('1 MB arrives whole, and so does the tail of 20 short programs', async () => {
    const copy = join(folder, 'copy');
    const big = await client.spawn(bash('big', produce(1_000_000, copy)));
    const output = collect(big);
    await big.exited;
    expect(sha256(output.bytes())).toBe(sha256(readFileSync(copy)));
    expect(output.bytes().length).toBeGreaterThan(1_000_000);
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const small = await client.spawn(bash(`small-${index}`, produce(20_000, `${copy}-${index}`)));
        const bytes = collect(small);
        await small.exited;
        expect(sha256(bytes.bytes())).toBe(sha256(readFileSync(`${copy}-${index}`)));
      }),
    );
  });

  test('a program that ends while nobody acknowledges loses nothing, and its exit is told at each adopt', async () => {
    const copy = join(folder, 'copy');
    await client.spawn(bash('slow', produce(1_200_000, copy)));
    await held(1024 * 1024);
    // Twice the 200 ms after which node-pty would close the terminal, if the program had ended and we had let it.
    const listed = (await client.list())[0];
    expect(listed).toMatchObject({ id: 'slow', ackedOffset: 0, exited: false });
    expect(listed?.endOffset).toBeLessThan(1_300_000);
    const second = await host.connect();
    const adopted = await second.adopt('slow', 0);
    const output = collect(adopted);
    expect(await adopted.exited).toEqual({ kind: 'exited', exitCode: 0, signal: null });
    expect(sha256(output.bytes())).toBe(sha256(readFileSync(copy)));
    const third = await host.connect();
    const again = await third.adopt('slow', output.bytes().length);
    expect((await again.exited).kind).toBe('exited');
    await expect(third.adopt('slow', 0)).rejects.toMatchObject({ code: 'offset_gone' });
    await again.release();
    await expect(third.adopt('slow', output.bytes().length)).rejects.toMatchObject({ code: 'unknown_process' });
    second.close();
    third.close();
  });

  test('a program that ends with its last bytes unread in the terminal keeps them until they are wanted', async () => {
    // Fills the unacknowledged buffer exactly to the point where reading stops, then ends with a tail in the kernel.
    const program = await client.spawn(
      bash('tail', 'stty raw -echo; head -c 1048576 /dev/zero | tr "\\0" a; sleep 0.2; printf THE-END; exit 4'),
    );
    program.onData(() => {});
    await held(1024 * 1024);
    await until(() => stateOf(program.pid) === undefined);
    const second = await host.connect();
    const adopted = await second.adopt('tail', 0);
    const output = collect(adopted);
    expect(await adopted.exited).toEqual({ kind: 'exited', exitCode: 4, signal: null });
    expect(output.text().slice(-8)).toBe('aTHE-END');
    second.close();
  });

  test('kill leaves nothing, a daemonised grandchild included', async () => {
    const shell = await client.spawn(
      bash(
        'daemons',
        `trap '' TERM HUP; (setsid nohup sleep 300 >/dev/null 2>&1 &); setsid bash -c 'trap "" TERM; sleep 301' & echo ready; wait`,
      ),
    );
    await collect(shell).until(/ready/);
    await until(() => processesWith(shell.mark).length >= 3);
    await shell.kill();
    expect(processesWith(shell.mark)).toEqual([]);
    expect(await shell.exited).toMatchObject({ kind: 'exited' });
  });

  test('freeze stops every process of the session, thaw lets it go on', async () => {
    const shell = await client.spawn(bash('freeze', '(while :; do sleep 0.01; echo tick; done) & wait'));
    const output = collect(shell);
    await output.until(/tick/);
    await shell.freeze();
    const frozen = processesWith(shell.mark);
    expect(frozen.length).toBeGreaterThanOrEqual(2);
    expect(frozen.map(stateOf)).toEqual(frozen.map(() => 'T'));
    expect((await client.list())[0]).toMatchObject({ frozen: true });
    const before = output.text().length;
    await shell.thaw();
    await until(() => output.text().length > before + 20);
    await shell.freeze();
    await shell.kill();
    expect(processesWith(shell.mark)).toEqual([]);
  });

  test('a frozen program is killed at once without a moment to go on in', async () => {
    const shell = await client.spawn(
      bash('at-once', 'trap "echo went on" TERM HUP; echo ready; while :; do sleep 0.01; done'),
    );
    const output = collect(shell);
    await output.until(/ready/);
    await shell.freeze();
    await shell.kill('at_once');
    expect(await shell.exited).toMatchObject({ kind: 'exited', signal: 9 });
    expect(output.text()).not.toContain('went on');
    await shell.release();
  });

  test('freeze and thaw leave the jobs of a shell as they were, also under a program that stops with its child', async () => {
    const shell = await client.spawn(bash('jobs'));
    const output = collect(shell);
    await output.until(/\$ /);
    // script(1) stops itself when it hears that its child was stopped.
    await shell.write(`exec script -q /dev/null -c 'exec bash --noprofile --norc -i'\r`);
    await shell.write('echo in""ner; sleep 1001\r');
    await output.until(/inner\r\n/);
    const sleeper = () =>
      processesWith(shell.mark).find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('1001'));
    await until(() => sleeper() !== undefined);
    await shell.write('\x1a');
    await output.until(/Stopped/);
    await shell.write('cat; echo over\r');
    await until(() =>
      processesWith(shell.mark).some((pid) => /^cat\0$/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'))),
    );
    for (let round = 1; round <= 5; round += 1) {
      await shell.freeze();
      await shell.thaw();
      await shell.write(`line-${round}\r`);
      // Once by the terminal, once by the program: it still has the foreground.
      await output.until(new RegExp(`line-${round}\r\nline-${round}\r\n`));
    }
    expect(output.text().match(/Stopped/g)).toHaveLength(1);
    expect(stateOf(sleeper() ?? 0)).toBe('T');
    await shell.kill();
  }, 40_000);

  test('a program that looks late at what became of its child is sent on too', async () => {
    // As script(1) does on a busy machine: it stops itself half a second after the thaw.
    const late = `use POSIX ":signal_h"; $| = 1; my $chld = POSIX::SigSet->new(SIGCHLD); sigprocmask(SIG_BLOCK, $chld);
      $SIG{CHLD} = sub { $told = 1 }; unless ($child = fork) { exec "sleep", "1002" } print "ready\\n";
      while (1) { select undef, undef, undef, 0.5; sigprocmask(SIG_UNBLOCK, $chld); sigprocmask(SIG_BLOCK, $chld);
        if ($told) { $told = 0; kill "STOP", $$; kill "CONT", $child; print "went on\\n" } }`;
    const program = await client.spawn({ ...bash('late'), file: '/usr/bin/perl', args: ['-e', late] });
    const output = collect(program);
    await output.until(/ready/);
    for (let round = 1; round <= 4; round += 1) {
      await program.freeze();
      await program.thaw();
      await output.until(new RegExp(`(went on\\s+){${round}}`));
    }
    await program.kill();
  }, 40_000);

  test("a person's Ctrl-Z right after a thaw stays one", async () => {
    const shell = await client.spawn(bash('stop-me'));
    const output = collect(shell);
    await output.until(/\$ /);
    for (let round = 1; round <= 3; round += 1) {
      await shell.write(`echo at-$((${round})); sleep 100${round}\r`);
      await output.until(new RegExp(`at-${round}\r\n`));
      const sleeper = () =>
        processesWith(shell.mark).find((pid) =>
          readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(`sleep\u0000100${round}`),
        );
      await until(() => sleeper() !== undefined);
      await shell.freeze();
      await shell.thaw();
      await shell.write('\x1a');
      await output.until(new RegExp(`(Stopped[^]*){${round}}`));
      // Past what a thaw mends.
      await shell.write(`/bin/sleep ${(2 * PTY_THAW_SETTLE_MS) / 1_000}; echo past-$((${round}))\r`);
      await output.until(new RegExp(`past-${round}\r\n`));
      expect(stateOf(sleeper() ?? 0)).toBe('T');
    }
    await shell.kill();
  }, 40_000);

  test('a program whose first thread has ended is frozen and killed like any other', async () => {
    const alive = join(folder, 'alive');
    const said = () => {
      try {
        return readFileSync(alive, 'utf8');
      } catch {
        return ''; // Not yet.
      }
    };
    // 60 is exit(2), which ends the calling thread alone.
    const leaderless = `use threads; threads->create(sub { while (1) { select undef, undef, undef, 0.01;
      open F, ">", "${alive}"; print F ++$n; close F } }); syscall 60, 0`;
    const program = await client.spawn({ ...bash('leaderless'), file: '/usr/bin/perl', args: ['-e', leaderless] });
    await until(() => said() !== '' && stateOf(program.pid) === 'Z');
    await program.freeze();
    expect(threadStates(program.pid).sort().join('')).toBe('TZ');
    await program.thaw();
    const before = said();
    await until(() => said() !== '' && said() !== before);
    await program.kill();
    expect(await program.exited).toMatchObject({ kind: 'exited' });
  }, 40_000);

  test('what a known process of the session left behind belongs to it', async () => {
    const pidFile = join(folder, 'pid');
    const go = join(folder, 'go');
    const inner = `sleep 1004 & echo $! > ${pidFile}; while [ ! -e ${go} ]; do sleep 0.01; done`;
    const shell = await client.spawn(bash('left', `env -i setsid /bin/sh -c '${inner}'; echo gone; sleep 1005`));
    const output = collect(shell);
    await until(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8').endsWith('\n'));
    // Its processes are seen here.
    await shell.freeze();
    await shell.thaw();
    writeFileSync(go, '');
    await output.until(/gone/);
    const orphan = Number(readFileSync(pidFile, 'utf8'));
    expect(stateOf(orphan)).toBeDefined();
    await shell.kill();
    await until(() => [undefined, 'Z'].includes(stateOf(orphan)));
  }, 40_000);

  test('what cannot be done is refused with a code', async () => {
    await expect(client.spawn({ ...bash('x'), cols: 0 })).rejects.toMatchObject({ code: 'failed' });
    await expect(client.adopt('nobody', 0)).rejects.toMatchObject({ code: 'unknown_process' });
    // The connection survives a refusal.
    expect(await client.list()).toEqual([]);
  });

  test('a second process of the same id is refused', async () => {
    const shell = await client.spawn(bash('twice'));
    await expect(client.spawn(bash('twice'))).rejects.toMatchObject({ code: 'duplicate_id' });
    await shell.kill();
    await shell.exited;
    await expect(shell.write('x')).rejects.toMatchObject({ code: 'exited' });
  });

  test('a file that does not exist ends at once with a code other than 0', async () => {
    const program = await client.spawn({ ...bash('missing'), file: '/no/such/file' });
    expect(await program.exited).toMatchObject({ kind: 'exited', exitCode: 1 });
  });
});
