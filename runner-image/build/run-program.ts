/** Runs one program with its output shown line by line, bounded in time; its end comes with ours in every case. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const OUTPUT_MAX_CHARS = 64 * 1024;

export interface ProgramOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  readonly cwd?: string;
  /** Gets whole lines of both streams. */
  readonly onLine?: (line: string) => void;
}
export interface ProgramResult {
  /** Null when it was killed, by its time-out or by us. */
  readonly exitCode: number | null;
  /** The last of both streams. */
  readonly output: string;
}
/** What the modules of this folder need of it; tests give one that starts nothing. */
export type RunProgram = (file: string, args: readonly string[], options: ProgramOptions) => Promise<ProgramResult>;

/** Resolves with how it ended; rejects when it cannot be started. After `timeoutMs` the whole process group is killed. */
export const runProgram: RunProgram = (file, args, { env, timeoutMs, cwd, onLine }) =>
  new Promise((resolve, reject) => {
    // A group of its own: buildah and npm start helpers, and all of them end with it.
    const child = spawn(file, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    let output = '';
    const killGroup = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // ESRCH: it ended by itself in the meantime.
      }
    };
    const timer = setTimeout(killGroup, timeoutMs);
    process.once('exit', killGroup);
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        output = `${output}${line}\n`.slice(-OUTPUT_MAX_CHARS);
        onLine?.(line);
      });
    const over = (): void => {
      clearTimeout(timer);
      process.off('exit', killGroup);
    };
    child.once('error', (error) => {
      over();
      reject(error);
    });
    child.once('close', (exitCode) => {
      over();
      resolve({ exitCode, output });
    });
  });

/** As `run`, but anything else than exit code 0 is an Error that names the program and its last lines. */
export const runOrThrow = async (
  run: RunProgram,
  file: string,
  args: readonly string[],
  options: ProgramOptions,
): Promise<string> => {
  const { exitCode, output } = await run(file, args, options);
  if (exitCode === 0) return output;
  const how = exitCode === null ? `was killed (at most ${options.timeoutMs} ms)` : `ended with ${exitCode}`;
  throw new Error(`${file} ${args[0] ?? ''} ${how}:\n${output.split('\n').slice(-15).join('\n').trim()}`);
};
