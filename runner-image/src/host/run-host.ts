/** Runs pty-host, and with it the runner, as a child that ends with this process, however this process ends. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { inheritedVariables } from '../workspace/git-environment.ts';
import { humanLine } from './human-log.ts';

const PTY_HOST = fileURLToPath(new URL('../pty-host/main.ts', import.meta.url));
/** Beyond what git may have: who and where we are. Nothing else of the person's environment, keys above all, is handed on. */
const HANDED_ON = ['HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'TZ', 'NODE_EXTRA_CA_CERTS', 'LOG_LEVEL', 'SENTRY_DSN'];

export interface HostChild {
  /** Every session ends in order and in time; asked again, at once. */
  stop(): void;
  /** pty-host's exit code. */
  readonly exited: Promise<number>;
}

/** @param say gets each line of the log, readable */
export const runHost = (
  settings: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string | undefined>>,
  say: (line: string) => void,
): HostChild => {
  const handedOn = Object.fromEntries(
    HANDED_ON.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])),
  );
  const child = spawn(process.execPath, [...process.execArgv, PTY_HOST], {
    env: { ...inheritedVariables(env), ...handedOn, ...settings, VILLAGE_DIE_WITH_PARENT: '1' },
    // A group of its own: Ctrl-C reaches us alone, and we say what it means.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {}); // EPIPE: it has ended; its exit says so.
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => say(humanLine(line)));
  let isStopping = false;
  return {
    stop() {
      if (isStopping) child.stdin.end();
      else child.kill('SIGTERM');
      isStopping = true;
    },
    exited: new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? 1));
    }),
  };
};
