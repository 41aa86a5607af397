/** `village-runner` as a customer starts it, registered at a real village: where its line, its disk or its clock must be the test's own. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { dieWithParent } from '../../local/dynamodb/die-with-parent.ts';
import { RunnerList, RunnerRegistered } from '../../shared/http.ts';
import { ROOT, type TestVillage, until } from './village.ts';

const OUTPUT_KEPT_CHARS = 100_000;
const READY_TIMEOUT_MS = 90_000;

export interface OwnRunnerSetup {
  readonly name: string;
  readonly maxSessions?: number;
  /** Where it finds the village, instead of its own address. */
  readonly url?: string;
  /** Below the village's folder unless told. */
  readonly workspace?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Before the program, as `ip netns exec <name>`. */
  readonly wrap?: readonly string[];
  /** Handed on to pty-host and the runner process. */
  readonly nodeArgs?: readonly string[];
}

export interface OwnRunner {
  readonly runnerId: string;
  readonly group: string;
  readonly workspace: string;
  readonly pid: number;
  readonly exited: Promise<number | null>;
  output(): string;
  kill(signal?: NodeJS.Signals): void;
}

/** Resolves when it serves. `kill` must be called; it dies with this process in any case. */
export const ownRunner = async (village: TestVillage, setup: OwnRunnerSetup): Promise<OwnRunner> => {
  const { name, maxSessions = 4, workspace = join(village.root, name), wrap = [], nodeArgs = [] } = setup;
  const group = `group-${name}`;
  const body = { group, maxSessions, name };
  const registered = RunnerRegistered.parse((await village.api('POST', '/api/runners/registrations', body)).body);
  const temporary = join(village.root, `tmp-${name}`);
  for (const folder of [workspace, temporary]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { runnerId, token } = registered;
  const main = join(ROOT, 'runner-image/src/host/main.ts');
  const options = ['--url', setup.url ?? village.endpoint().url, '--token', token, '--workspace', workspace];
  const program = [process.execPath, ...nodeArgs, main, ...options, '--max-sessions', String(maxSessions)];
  const [file = '', ...args] = [...wrap, ...program];
  const { command, args: wrapped, stdin } = dieWithParent(file, args);
  const path = `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
  const env = { PATH: path, HOME: workspace, TMPDIR: temporary, LOG_LEVEL: 'warn', ...setup.env };
  const child = spawn(command, wrapped, { cwd: village.root, env, stdio: [stdin, 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_KEPT_CHARS);
    });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const runner = {
    ...{ runnerId, group, workspace, exited, pid: child.pid ?? 0 },
    output: () => output,
    kill: (signal: NodeJS.Signals = 'SIGKILL') => void child.kill(signal),
  };
  const isServing = async (): Promise<true | undefined> => {
    const { runners } = RunnerList.parse((await village.api('GET', '/api/runners')).body);
    return runners.find((one) => one.runnerId === runnerId)?.state === 'serving' ? true : undefined;
  };
  await until(`the runner ${name}`, isServing, READY_TIMEOUT_MS, () => output).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  return runner;
};
