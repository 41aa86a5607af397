/** Keeps one runner process running while its programs live on in pty-host. */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Clock, Random } from '../../../shared/clock.ts';
import { RUNNER_CRASHES_SETTLED_MAX } from '../../../shared/limits.ts';
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

const MARK_BYTES = 16;

/** Starts the runner and keeps it running until it exits with 0, is drained, or crashes too often. */
export const superviseRunner = (options: SupervisorOptions): Supervisor => {
  const { runnerMain, drainMs, clock, onEnd } = options;
  const mark = options.random.hex(MARK_BYTES);
  const env = { ...options.env, [RUNNER_MARK_VARIABLE]: mark };
  const crashesMs: number[] = [];
  let settledMs: number | undefined;
  let child: ChildProcess | undefined;
  let isEnding = false;
  let cancelTimer = (): void => {};

  const end = (exitCode: number): void => {
    cancelTimer();
    child = undefined;
    onEnd(exitCode);
  };
  const onRunnerExit = (code: number | null, signal: NodeJS.Signals | null): void => {
    if (child) killGroup(child, 'SIGKILL');
    // A git that lives in a group of its own would go on in folders that the next runner clears.
    killHelpers(mark);
    if (isEnding || code === 0) {
      end(0);
      return;
    }
    if (code === NO_RESTART_EXIT_CODE) {
      end(1);
      return;
    }
    crashesMs.push(clock.monotonicMs());
    if (crashesMs.length > RUNNER_CRASHES_SETTLED_MAX) crashesMs.shift();
    const decision = decideRestart(crashesMs, clock.monotonicMs(), settledMs);
    console.error(`pty-host: runner ended with ${signal ?? code}: ${decision.action}`);
    if (decision.action === 'give_up') end(1);
    else cancelTimer = clock.after(decision.delayMs, start);
  };
  const start = (): void => {
    const started = spawn(process.execPath, [...process.execArgv, runnerMain], {
      env,
      // A group of its own, so that its helpers end with it; own pipes, so that it never holds ours open.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    started.stdout.pipe(process.stdout, { end: false });
    started.stderr.pipe(process.stderr, { end: false });
    let isOver = false;
    const once = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (isOver) return;
      isOver = true;
      onRunnerExit(code, signal);
    };
    started.once('error', (error) => {
      console.error(`pty-host: runner cannot be started: ${error.message}`);
      once(1, null);
    });
    started.once('exit', once);
  };

  start();
  return {
    settled() {
      settledMs = clock.monotonicMs();
    },
    drain() {
      if (isEnding) return;
      isEnding = true;
      cancelTimer();
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return end(0);
      child.kill('SIGTERM');
      const draining = child;
      cancelTimer = clock.after(drainMs, () => killGroup(draining, 'SIGKILL'));
    },
    kill() {
      isEnding = true;
      if (child) killGroup(child, 'SIGKILL');
    },
  };
};
