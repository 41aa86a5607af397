/** Runs git for the runner: argument arrays only, nothing of the environment, a time-out that kills the whole group, capped output. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { GIT_COMMAND_TIMEOUT_MS, GIT_OUTPUT_MAX_BYTES, GIT_STDERR_MAX_BYTES } from '../../../shared/limits.ts';
import { type GitEnvironmentOptions, gitEnvironment, guardArguments } from './git-environment.ts';

export interface GitCall extends GitEnvironmentOptions {
  /** Options and command; user values stand after `--` or are checked by the caller. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly stdin?: string | Buffer;
  /** `GIT_DIR` and its like; wins over the environment built here. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Beyond it the call is ended and its output marked cut. */
  readonly maxOutputBytes?: number;
  readonly signal?: AbortSignal;
}

/**
 * How a call ended. `exited` with any code is an answer, `cut` says the output cap was reached (the code then means
 * nothing); the rest are failures of running it.
 */
export type GitResult =
  | {
      readonly kind: 'exited';
      readonly code: number;
      readonly stdout: Buffer;
      readonly stderr: string;
      readonly cut: boolean;
    }
  | { readonly kind: 'timeout'; readonly stderr: string }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'git_missing' };

export type RunGit = (call: GitCall) => Promise<GitResult>;

/** Of util-linux, which every Debian has: the kernel kills git with the runner, also where the runner itself was killed. */
const SETPRIV = '/usr/bin/setpriv';
const WRAPPER = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL', '--'] : [];
/** What a wrapper answers for a program that does not exist, as a shell does. */
const NOT_FOUND_CODE = 127;

/** Groups alive now: they die with the runner, however it ends short of SIGKILL. */
const groups = new Set<number>();
let exitHandled = false;

const killGroup = (pid: number): void => {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: the group ended by itself, which is what was wanted.
  }
};

const trackGroup = (pid: number): void => {
  groups.add(pid);
  if (exitHandled) return;
  exitHandled = true;
  process.on('exit', () => {
    for (const group of groups) killGroup(group);
  });
};

/** Keeps the end of a stream, where git says what was wrong. */
const tailKeeper = () => {
  let kept = Buffer.alloc(0);
  return {
    add: (chunk: Buffer) => {
      kept = Buffer.concat([kept, chunk]);
      if (kept.length > GIT_STDERR_MAX_BYTES) kept = kept.subarray(kept.length - GIT_STDERR_MAX_BYTES);
    },
    text: () => kept.toString('utf8').trim(),
  };
};

/** Keeps the beginning of a stream up to a cap; `add` is false once it is full. */
const headKeeper = (maxBytes: number) => {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  return {
    add: (chunk: Buffer): boolean => {
      const room = maxBytes - sizeBytes;
      chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
      sizeBytes += Math.min(chunk.length, room);
      return chunk.length <= room;
    },
    bytes: () => Buffer.concat(chunks),
  };
};

const start = (call: GitCall) => {
  const [program = 'git', ...args] = [...WRAPPER, 'git', ...guardArguments(call.protocols), ...call.args];
  return spawn(program, args, {
    cwd: call.cwd,
    env: { ...gitEnvironment(call), ...call.variables },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
};

const isMissing = (code: number | null, stderr: string): boolean =>
  WRAPPER.length > 0 && code === NOT_FOUND_CODE && stderr.startsWith('setpriv: ');

/** Runs one git command to its end. Never rejects; a folder that is gone reads as `git_missing` only if git is. */
export const runGit: RunGit = (call) =>
  new Promise((resolve) => {
    if (call.signal?.aborted) return resolve({ kind: 'cancelled' });
    const child = start(call);
    const { pid } = child;
    if (pid !== undefined) trackGroup(pid);
    const stdout = headKeeper(call.maxOutputBytes ?? GIT_OUTPUT_MAX_BYTES);
    const stderr = tailKeeper();
    let early: GitResult | undefined;
    let cut = false;
    const kill = () => {
      if (pid !== undefined && child.exitCode === null && child.signalCode === null) killGroup(pid);
      child.stdout.destroy();
      child.stderr.destroy();
    };
    const end = (result: GitResult) => {
      early ??= result;
      kill();
    };
    const timer = setTimeout(
      () => end({ kind: 'timeout', stderr: stderr.text() }),
      call.timeoutMs ?? GIT_COMMAND_TIMEOUT_MS,
    );
    const onAbort = () => end({ kind: 'cancelled' });
    call.signal?.addEventListener('abort', onAbort, { once: true });
    const settle = (result: GitResult) => {
      clearTimeout(timer);
      call.signal?.removeEventListener('abort', onAbort);
      if (pid !== undefined) groups.delete(pid);
      resolve(early ?? result);
    };
    child.stdout.on('data', (chunk: Buffer) => {
      if (cut || stdout.add(chunk)) return;
      cut = true;
      kill();
    });
    child.stderr.on('data', stderr.add);
    // EPIPE: git ended without reading all of its input; its exit code tells.
    child.stdin.on('error', () => {});
    child.stdin.end(call.stdin ?? '');
    child.once('error', (error) => {
      stderr.add(Buffer.from(String(error)));
      settle(
        'code' in error && error.code === 'ENOENT'
          ? { kind: 'git_missing' }
          : { kind: 'exited', code: -1, stdout: Buffer.alloc(0), stderr: stderr.text(), cut: false },
      );
    });
    child.once('close', (code) => {
      if (isMissing(code, stderr.text())) settle({ kind: 'git_missing' });
      else settle({ kind: 'exited', code: code ?? -1, stdout: stdout.bytes(), stderr: stderr.text(), cut });
    });
  });
