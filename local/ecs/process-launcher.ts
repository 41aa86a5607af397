/** Runs a task as a process group on this machine, with an environment of its own that inherits nothing but a PATH. */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.ts';
import { killGroup, killMarked, TASK_MARK_VARIABLE } from './process-sweep.ts';
import { logStreams } from './task-log.ts';

export interface LaunchSpec {
  readonly taskId: string;
  /** The container's image as the task definition names it. */
  readonly image?: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly stopTimeoutSec: number;
}
export interface TaskExit {
  /** 128 + signal number for a killed task, as a container reports it; null when it never started. */
  readonly exitCode: number | null;
  readonly reason: string;
}
export interface LaunchedTask {
  /** SIGTERM now, SIGKILL for all of it after the stop time-out. Repeats are ignored. */
  stop(): void;
  /** SIGKILL for all of it now. */
  kill(): void;
}
/** Where tasks run. `onExit` is called exactly once, after everything of the task is gone. */
export interface TaskLauncher {
  launch(spec: LaunchSpec, onStarted: () => void, onExit: (exit: TaskExit) => void): LaunchedTask;
  /** Ends and deletes what an earlier life of the host left of a task that ran. */
  cleanUp(taskId: string): void;
  /** Deletes what is kept of an ended task. */
  forget(taskId: string): void;
}

export type TaskCommand = readonly [string, ...string[]];

export interface ProcessLauncherOptions {
  /** Program and arguments, for example [node, 'runner-image/src/pty-host/main.ts']; or what says them for a task. */
  readonly command: TaskCommand | ((spec: LaunchSpec) => TaskCommand);
  readonly cwd: string;
  /** PATH of the tasks: the pinned Node first. */
  readonly path: string;
  /** Logs. */
  readonly dir: string;
  readonly clock: Clock;
}

const SCRATCH_NAME_CHARS = 16;
const SIGNAL_BASE = 128;
const SIGKILL_NUMBER = 9;
const SIGTERM_NUMBER = 15;

const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? SIGNAL_BASE + (signal === 'SIGTERM' ? SIGTERM_NUMBER : SIGKILL_NUMBER);

/** A program of its own group, with its own home under `scratch`. */
const startTask = (options: ProcessLauncherOptions, spec: LaunchSpec, scratch: string, logFile: string) => {
  const { taskId, environment } = spec;
  const [program, ...args] = typeof options.command === 'function' ? options.command(spec) : options.command;
  const home = join(scratch, 'home');
  // Not recursive: a folder that is there already may belong to another user.
  for (const folder of [scratch, home]) mkdirSync(folder, { mode: 0o700 });
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: {
      PATH: options.path,
      HOME: home,
      TMPDIR: scratch,
      ...environment,
      VILLAGE_DIE_WITH_PARENT: '1',
      [TASK_MARK_VARIABLE]: taskId,
    },
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {}); // EPIPE: the task ended; its exit says so.
  logStreams(logFile, [child.stdout, child.stderr]);
  return child;
};

/** Tasks die with us in every case: their stdin is a pipe that ends with this process (VILLAGE_DIE_WITH_PARENT). */
export const processLauncher = (options: ProcessLauncherOptions): TaskLauncher => {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  // Sockets live in there, whose paths have 107 characters at most: so not under the data directory.
  const scratchOf = (taskId: string) => join(tmpdir(), `village-task-${taskId.slice(0, SCRATCH_NAME_CHARS)}`);
  const logOf = (taskId: string) => join(options.dir, `${taskId}.log`);

  const removeScratch = (taskId: string) => rmSync(scratchOf(taskId), { recursive: true, force: true });

  return {
    launch(spec, onStarted, onExit) {
      const child = startTask(options, spec, scratchOf(spec.taskId), logOf(spec.taskId));
      let cancelKill: (() => void) | undefined;
      let isOver = false;
      const kill = (): void => {
        if (child.pid !== undefined && !isOver) killGroup(child.pid);
        killMarked(spec.taskId);
      };
      const end = (exit: TaskExit): void => {
        if (isOver) return;
        cancelKill?.();
        kill();
        isOver = true;
        child.stdin.destroy();
        removeScratch(spec.taskId);
        onExit(exit);
      };
      child.once('spawn', onStarted);
      child.once('error', (error) => end({ exitCode: null, reason: error.message }));
      child.once('exit', (code, signal) =>
        end({ exitCode: exitCodeOf(code, signal), reason: 'Essential container in task exited' }),
      );
      return {
        kill,
        stop() {
          if (isOver || cancelKill !== undefined) return;
          child.kill('SIGTERM');
          cancelKill = options.clock.after(spec.stopTimeoutSec * 1_000, kill);
        },
      };
    },
    cleanUp(taskId) {
      killMarked(taskId);
      removeScratch(taskId);
    },
    forget: (taskId) => rmSync(logOf(taskId), { force: true }),
  };
};
