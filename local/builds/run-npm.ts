/** Runs npm on the pinned Node, and its end with ours. */
import { spawn } from 'node:child_process';
import { delimiter, dirname } from 'node:path';

const OUTPUT_MAX_CHARS = 64 * 1024;

export interface NpmRun {
  readonly exitCode: number | null;
  /** The last of both streams. */
  readonly output: string;
}

/** The environment of npm: the person's own (registry, proxy, cache) with our Node first, since CLIs state which Node they need. */
const npmEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? '/usr/bin:/bin'}`,
});

/** Runs `npmFile` with `args` in `cwd`. When `signal` fires, or this process ends, npm and what it started are killed. */
export function runNpm(npmFile: string, args: readonly string[], cwd: string, signal: AbortSignal): Promise<NpmRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(npmFile, args, {
      cwd,
      env: npmEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_MAX_CHARS);
    };
    const killGroup = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended by itself in the meantime.
      }
    };
    const cleanUp = () => {
      process.off('exit', killGroup);
      signal.removeEventListener('abort', killGroup);
    };
    process.once('exit', killGroup);
    signal.addEventListener('abort', killGroup, { once: true });
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.once('error', (error) => {
      cleanUp();
      reject(error);
    });
    child.once('close', (exitCode) => {
      cleanUp();
      resolve({ exitCode, output });
    });
  });
}
