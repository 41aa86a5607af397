/** Keeps one runner process running while its programs live on in pty-host. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock, Random } from '../../../shared/clock.ts';
import { DRAIN_TAKE_UP_MS, RUNNER_CRASHES_SETTLED_MAX } from '../../../shared/limits.ts';
import { decideRestart, NO_RESTART_EXIT_CODE } from './restart-policy.ts';
import { killHelpers, RUNNER_MARK_VARIABLE } from './session-processes.ts';

export interface SupervisorOptions {
  readonly runnerMain: string;
  /** The runner's whole environment. */
  readonly env: NodeJS.ProcessEnv;
  readonly drainMs: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Called once when no runner will be started any more; the code is pty-host's exit code. */
  readonly onEnd: (exitCode: number) => void;
}

export interface Supervisor {
  /** Asks the runner to drain (SIGTERM), kills it after `drainMs`; no restart follows, `onEnd` does. */
  drain(): void;
  /** Kills the runner now. */
  kill(): void;
  /** The runner has taken its sessions up. */
  settled(): void;
}

/** Ends the runner's whole process group: it may have started git or another helper. */
const killGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // ESRCH: the group is gone already.
  }
};

const isAlive = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

const MARK_BYTES = 16;

/** `onExit` is called once, also where it could not be started. */
const startRunner = (
  { runnerMain }: SupervisorOptions,
  env: NodeJS.ProcessEnv,
  onExit: (code: number | null, signal: NodeJS.Signals | null) => void,
): ChildProcess => {
  const started = spawn(process.execPath, [...process.execArgv, runnerMain], {
    env,
    // A group of its own, so that its helpers end with it; own pipes, so that it never holds ours open.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  started.stdout.pipe(process.stdout, { end: false });
  started.stderr.pipe(process.stderr, { end: false });
  let isOver = false;
  const once = (code: number | null, signal: NodeJS.Signals | null): void => {
    if (isOver) return;
    isOver = true;
    onExit(code, signal);
  };
  started.once('error', (error) => {
    console.error(`pty-host: runner cannot be started: ${error.message}`);
    once(1, null);
  });
  started.once('exit', once);
  return started;
};

/** Starts the runner and keeps it running until it exits with 0, is drained, or crashes too often. */
export const superviseRunner = (options: SupervisorOptions): Supervisor => {
  const { drainMs, clock, onEnd } = options;
  const mark = options.random.hex(MARK_BYTES);
  const env = { ...options.env, [RUNNER_MARK_VARIABLE]: mark };
  const crashesMs: number[] = [];
  let settledMs: number | undefined;
  let child: ChildProcess | undefined;
  let isEnding = false;
  /** It had crashed when it was to drain: it is started once more, takes up what it held, and drains that. */
  let lateDrain: 'none' | 'to_start' | 'to_ask' | 'asked' = 'none';
  let cancelTimer = (): void => {};
  let cancelKill = (): void => {};

  const end = (exitCode: number): void => {
    cancelTimer();
    cancelKill();
    onEnd(exitCode);
  };
  const onRunnerExit = (code: number | null, signal: NodeJS.Signals | null): void => {
    if (child) killGroup(child, 'SIGKILL');
    child = undefined;
    // A git that lives in a group of its own would go on in folders that the next runner clears.
    killHelpers(mark);
    if (lateDrain === 'to_start') startToDrain();
    else if (isEnding || code === 0) end(0);
    else if (code === NO_RESTART_EXIT_CODE) end(1);
    else restart(signal ?? code);
  };
  const restart = (why: NodeJS.Signals | number | null): void => {
    crashesMs.push(clock.monotonicMs());
    if (crashesMs.length > RUNNER_CRASHES_SETTLED_MAX) crashesMs.shift();
    const decision = decideRestart(crashesMs, clock.monotonicMs(), settledMs);
    console.error(`pty-host: runner ended with ${why}: ${decision.action}`);
    if (decision.action === 'give_up') end(1);
    else cancelTimer = clock.after(decision.delayMs, start);
  };
  const start = (): void => {
    child = startRunner(options, env, onRunnerExit);
  };
  const askLate = (): void => {
    if (lateDrain !== 'to_ask') return;
    lateDrain = 'asked';
    child?.kill('SIGTERM');
  };
  const startToDrain = (): void => {
    lateDrain = 'to_ask';
    start();
    cancelTimer = clock.after(DRAIN_TAKE_UP_MS, askLate);
  };

  start();
  return {
    settled() {
      settledMs = clock.monotonicMs();
      askLate();
    },
    drain() {
      if (isEnding) return;
      isEnding = true;
      cancelTimer();
      cancelKill = clock.after(drainMs, () => child && killGroup(child, 'SIGKILL'));
      if (child === undefined) startToDrain();
      else if (isAlive(child)) child.kill('SIGTERM');
      else lateDrain = 'to_start';
    },
    kill() {
      isEnding = true;
      if (child) killGroup(child, 'SIGKILL');
    },
  };
};
