import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { WatcherList } from '../../shared/frames.ts';
import { canRecord, ptyRecorder } from '../fakes/pty-recorder.ts';
import { expectNothingLost, killRunner, type Started, storedText } from './crash-support.ts';
import { type RunnerSetup, SESSION_ID, startRunner } from './runner-fixture.ts';

let runner: Started | null = null;
afterEach(async (context) => {
  if (context.task.result?.state === 'fail') console.log(runner?.log());
  await runner?.stop();
  runner = null;
});

/** The last event of an epoch. */
const ENDS = new Set(['session_ended', 'epoch_drained']);
const VIEWER = 'viewer-1';
const led: WatcherList = {
  rev: 1,
  viewers: [{ viewerId: VIEWER, mode: 'control' }],
  controllerId: VIEWER,
  controlTerm: 1,
};
const start = async (setup?: RunnerSetup): Promise<Started> => {
  runner = await startRunner(setup);
  return runner;
};
const running = async (started: Started): Promise<void> => {
  const { control } = started;
  await control.until('running', () =>
    control.events.some((event) => event.type === 'session_state_changed' && event.toState === 'running'),
  );
  control.setWatchers(led);
};
const type = ({ control }: Started, inputSeq: number, data: string) =>
  control.post({
    ...{ type: 'input', sessionId: SESSION_ID, epoch: 1, viewerId: VIEWER, source: 'viewer', controlTerm: 1 },
    ...{ inputSeq, data, submit: false },
  });
const framesOf = ({ control }: Started, kind: string) => control.frames.filter((frame) => frame.type === kind);
/** The highest number acknowledged so far. */
const acked = (started: Started): number =>
  Math.max(0, ...framesOf(started, 'input_ack').flatMap((frame) => ('inputSeq' in frame ? [frame.inputSeq] : [])));
const ofType = ({ control }: Started, kind: string) => control.events.filter((event) => event.type === kind);
/** Processes of the session: nothing else has its HOME in the state directory. Other tests run beside this one. */
const agentOf = (started: Started): number[] => started.processesWith(`HOME=${join(started.root, 'state')}`);
const stateOf = (pid: number) => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.[0];
const commandOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'latin1');
/** Pids of `sleep` with this argument, whatever their environment. */
const sleeping = (seconds: string): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return commandOf(pid) === `sleep\0${seconds}\0`;
      } catch {
        // It ended while we looked.
        return false;
      }
    });
/** Writes until nothing more goes in, not even a byte. */
const fillUp = (file: string): void => {
  const fd = openSync(file, 'a');
  try {
    for (let size = 65_536; size >= 1; ) {
      try {
        if (writeSync(fd, Buffer.alloc(size)) < size) size >>= 1;
      } catch {
        size >>= 1;
      }
    }
  } finally {
    closeSync(fd);
  }
};
const stop = async (started: Started): Promise<void> => {
  started.control.ask('stop');
  expect(await started.exited).toBe(0);
  expectNothingLost(started);
  expect(started.processesWith(started.root)).toEqual([]);
  expect(started.workspaces()).toEqual([]);
};

describe('a crash of the runner process under a shell', () => {
  it('ten times in one session: every key arrives once, every byte is kept, and nobody is reset', async (context) => {
    if (!canRecord()) return context.skip('needs script(1)');
    const started = await start();
    const { control } = started;
    await running(started);
    const recordings = join(started.root, 'recordings');
    const bash = ['/bin/bash', '--noprofile', '--norc', '-i'];
    const recorder = ptyRecorder(join(started.root, 'rec-bash'), bash, recordings);
    mkdirSync(recordings, { recursive: true });
    type(started, 1, `exec ${recorder.file}\r`);
    await vi.waitFor(() => expect(readdirSync(recordings)).toHaveLength(1), { timeout: 10_000, interval: 20 });
    type(started, 2, "PS1='> '; echo be'gun'\r");
    await control.until('the recorder', () => control.output().includes('begun'));
    for (let round = 0; round < 10; round += 1) {
      const first = 3 + round * 3;
      const keys = [`echo ${round} a >> typed\r`, `seq -f "r${round} %.0f é漢" 3000\r`, `echo ${round} b >> typed\r`];
      for (const [index, key] of keys.entries()) type(started, first + index, key);
      // At another moment each time: before, in and after what the runner does with the keys.
      if (round % 3 === 1) await control.until('some acknowledged', () => acked(started) >= first || undefined);
      if (round % 3 === 2) await control.until('all acknowledged', () => acked(started) >= first + 2 || undefined);
      await killRunner(started);
      // As the page does: what is not acknowledged is sent again, here with what is.
      for (const [index, key] of keys.entries()) type(started, first + index, key);
      await control.until('the round', () => acked(started) >= first + 2 || undefined);
    }
    type(started, 33, 'exit\r');
    expect(await started.exited).toBe(0);
    expectNothingLost(started);
    expect(framesOf(started, 'input_reset')).toEqual([]);
    const recorded = recorder.bytes().toString('utf8');
    const stored = storedText(started);
    expect(stored.slice(-recorded.length)).toBe(recorded);
    const commands = Array.from({ length: 10 }, (_, round) => [
      `echo ${round} a >> typed`,
      `seq -f "r${round} %.0f é漢" 3000`,
      `echo ${round} b >> typed`,
    ]);
    expect(ofType(started, 'command_executed').map(({ command }) => command)).toEqual([
      "PS1='> '; echo be'gun'",
      ...commands.flat(),
    ]);
    expect(control.dials).toHaveLength(11);
  });

  it('reports each command once, and takes a resize and a pause up where they were', async () => {
    const started = await start();
    const { control } = started;
    await running(started);
    type(started, 1, 'true one\r');
    await control.until('one', () => ofType(started, 'command_executed').length === 1);
    const size = { cols: 100, rows: 40, controlTerm: 1 };
    control.post({ type: 'resize', sessionId: SESSION_ID, epoch: 1, viewerId: VIEWER, rev: 2, ...size });
    await control.until('the size', () => ofType(started, 'terminal_resized').length === 1);
    await killRunner(started);
    type(started, 2, 'stty size; false two\r');
    await control.until('two', () => ofType(started, 'command_executed').length === 2);
    control.ask('pause');
    const inState = (state: string, count: number) =>
      control.until(
        state,
        () => ofType(started, 'session_state_changed').filter((e) => e.toState === state).length >= count,
      );
    await inState('paused_by_human', 1);
    await killRunner(started);
    const held = agentOf(started);
    expect(held.map(stateOf)).toEqual(held.map(() => 'T'));
    control.ask('run');
    await inState('running', 2);
    type(started, 3, 'true three\r');
    await control.until('three', () => ofType(started, 'command_executed').length === 3);
    expect(control.output()).toContain('40 100');
    expect(ofType(started, 'command_executed').map(({ command, exitCode }) => [command, exitCode])).toEqual([
      ['true one', 0],
      ['stty size; false two', 1],
      ['true three', 0],
    ]);
    await stop(started);
  });

  it('hides the password of the repository again, and shows nothing before it can', async () => {
    const password = 'hunter22-pass';
    const started = await start({ credentials: { repository: { token: 'hunter22%2Dpass', username: 'me' } } });
    const { control } = started;
    await running(started);
    control.refuseCredentials(true);
    await killRunner(started, () => {
      // Printed while no runner lives, and read while the next one does not know yet what to hide.
      const [shell] = agentOf(started);
      expect(shell).toBeDefined();
    });
    type(started, 1, `echo ${password} > notes; cat notes; echo do''ne\r`);
    await control.until('refused credentials', () => control.refusedCredentials > 1 || undefined);
    expect(control.output()).not.toContain('done');
    control.refuseCredentials(false);
    await control.until('the output', () => control.output().includes('done'));
    await control.until('the command', () => ofType(started, 'command_executed').length === 1);
    await stop(started);
    expect(JSON.stringify(control.events)).not.toMatch(/hunter22/);
    expect(storedText(started)).not.toContain(password);
    expect(storedText(started)).toContain('*'.repeat(password.length));
  });

  it('finds a shell that was killed meanwhile: it is reported once, and the session ends as it does without a crash', async () => {
    const started = await start();
    const { control } = started;
    await running(started);
    await killRunner(started, () => {
      for (const pid of agentOf(started)) process.kill(pid, 'SIGKILL');
    });
    expect(await started.exited).toBe(0);
    expectNothingLost(started);
    expect(control.events.at(-1)).toMatchObject({ state: 'failed', reason: { code: 'provider_exited' } });
    expect(ofType(started, 'provider_exited')).toMatchObject([{ signal: 9, expected: false }]);
    expect(started.workspaces()).toEqual([]);
  });

  it('while it clones: the git that was left running is ended, and the clone made again', async () => {
    const bin = mkdtempSync(join(tmpdir(), 'stuck-git-'));
    try {
      // The first git that fetches never ends, as one on a dead line.
      const once = `case "$*" in *fetch*|*clone*) mkdir '${bin}/stuck' 2>/dev/null && exec sleep 304;; esac`;
      writeFileSync(join(bin, 'git'), `#!/bin/sh\n${once}\nPATH='${process.env.PATH}' exec git "$@"\n`, {
        mode: 0o755,
      });
      const started = await start({ env: { PATH: `${bin}:${process.env.PATH}` } });
      await vi.waitFor(() => expect(existsSync(join(bin, 'stuck'))).toBe(true), { timeout: 10_000, interval: 20 });
      const stuck = () => started.processesWith(bin).filter((pid) => commandOf(pid).includes('304'));
      expect(stuck()).toHaveLength(1);
      await killRunner(started);
      expect(stuck()).toEqual([]);
      await running(started);
      expect(ofType(started, 'workspace_ready')).toHaveLength(1);
      await stop(started);
    } finally {
      rmSync(bin, { recursive: true, force: true });
    }
  });

  it('while it ends: the end goes on as it was meant', async () => {
    const started = await start();
    const { control } = started;
    await running(started);
    control.refusePuts(true);
    control.ask('stop');
    await control.until('the end', () => control.refusedPuts.length > 0);
    await killRunner(started);
    control.refusePuts(false);
    expect(await started.exited).toBe(0);
    expectNothingLost(started);
    expect(control.events.at(-1)).toMatchObject({ state: 'completed', reason: { code: 'stopped' } });
    expect(ofType(started, 'session_ended')).toHaveLength(1);
    expect(started.processesWith(started.root)).toEqual([]);
    expect(started.workspaces()).toEqual([]);
  });
});

describe('a crash of pty-host', () => {
  it('ends every process of the session, daemons too, and the runner reports it before it goes', async () => {
    const started = await start();
    const { control } = started;
    await running(started);
    // As a name that no other test has: one of them cleans its environment.
    const naps = `30${process.pid}`;
    const lines = `setsid sleep ${naps} & (setsid sleep ${naps} &) & env -i sleep ${naps} & echo star''ted; wait`;
    type(started, 1, `(trap '' HUP TERM; ${lines})\r`);
    await control.until('daemons', () => control.output().includes('started'));
    const mine = () => [...started.processesWith(started.root), ...sleeping(naps)];
    await vi.waitFor(() => expect(sleeping(naps)).toHaveLength(3), { timeout: 10_000, interval: 20 });
    const runnerPid = started.runnerPid();
    started.host.kill('SIGKILL');
    await control.until('the end', () => control.events.some(({ type: kind }) => ENDS.has(kind)));
    await vi.waitFor(() => expect(existsSync(`/proc/${runnerPid}`)).toBe(false), { timeout: 20_000, interval: 20 });
    expect(mine()).toEqual([]);
    expectNothingLost(started);
    expect(started.workspaces()).toEqual([]);
  });
});

describe('a full disk', () => {
  it('freezes the session, loses nothing, and goes on when there is room', async (context) => {
    const mount = mkdtempSync(join(tmpdir(), 'small-disk-'));
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', mount], { stdio: 'ignore' });
    } catch {
      rmSync(mount, { recursive: true });
      return context.skip('mounting is not permitted here');
    }
    try {
      const started = await start({ env: { VILLAGE_STATE_DIR: join(mount, 'state') } });
      const { control } = started;
      await running(started);
      type(started, 1, 'echo be""fore\r');
      await control.until('output', () => control.output().includes('before'));
      fillUp(join(mount, 'filler'));
      type(started, 2, 'for i in $(seq 300); do printf "%0800d\\n" $i; done; echo af""ter\r');
      const shells = () => started.processesWith(`HOME=${join(mount, 'state')}`).map((pid) => stateOf(pid));
      await vi.waitFor(() => expect(new Set(shells())).toEqual(new Set(['T'])), { timeout: 20_000, interval: 20 });
      rmSync(join(mount, 'filler'));
      await control.until('the rest', () => control.output().includes('after'));
      await stop(started);
      const frozen = ofType(started, 'session_frozen');
      expect(frozen.map((event) => event.frozen).slice(0, 2)).toEqual([true, false]);
      const printed = Array.from({ length: 300 }, (_, index) => String(index + 1).padStart(800, '0')).join('\r\n');
      expect(storedText(started)).toContain(printed);
      expect(ofType(started, 'stream_gap')).toEqual([]);
    } finally {
      // Its folders go before the disk under them does.
      await runner?.stop();
      runner = null;
      execFileSync('umount', [mount]);
      rmSync(mount, { recursive: true });
    }
  });
});
