/** Asks a CLI for its version, the same careful way for all of them. */
import { execFile } from 'node:child_process';
import { CLI_VERSION_TIMEOUT_MS } from '../../../shared/limits.ts';
import type { Detection } from './contract.ts';

const OUTPUT_MAX_BYTES = 64 * 1024;
/** Only answers that will not change are kept: a missing CLI may be installed later. */
const found = new Map<string, Detection>();

/** What a program said before, without asking it; `undefined` while nobody did. */
export const detectedVersion = (file: string): string | undefined => {
  const known = found.get(file);
  return known?.kind === 'found' ? known.version : undefined;
};

interface Asked {
  readonly output: string;
  readonly failure: string | undefined;
}

const ask = (file: string, timeoutMs: number): Promise<Asked> =>
  new Promise((resolve) => {
    const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/nonexistent', NO_COLOR: '1' };
    execFile(
      file,
      ['--version'],
      { env, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_MAX_BYTES },
      (error, stdout, stderr) => {
        const failure =
          error === null ? undefined : error.killed === true ? `no answer within ${timeoutMs} ms` : error.message;
        resolve({ output: `${stdout}\n${stderr}`, failure });
      },
    );
  });

/**
 * Runs `file --version` without any of the runner's environment. `pattern`'s first group is the version: a CLI may print warnings
 * before it, so the whole output of both streams is searched.
 */
export async function detectVersion(
  file: string,
  pattern: RegExp,
  timeoutMs = CLI_VERSION_TIMEOUT_MS,
): Promise<Detection> {
  const known = found.get(file);
  if (known !== undefined) return known;
  const { output, failure } = await ask(file, timeoutMs);
  const version = pattern.exec(output)?.[1];
  if (failure === undefined && version !== undefined) {
    const detection: Detection = { kind: 'found', version };
    found.set(file, detection);
    return detection;
  }
  return {
    kind: 'missing',
    reason: `${file} --version: ${failure ?? 'the answer names no version'}`,
    hint: 'Install the CLI into the build again, or choose another build.',
  };
}
