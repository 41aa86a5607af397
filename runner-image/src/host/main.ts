#!/usr/bin/env node
/** Entry of `village-runner`: a runner of one's own, on one's own machine, for as long as one likes. */
import { mkdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { findClis } from './find-clis.ts';
import { identify } from './identity.ts';
import { type HostOptions, parseOptions, USAGE } from './options.ts';
import { runHost } from './run-host.ts';

/** The image says it; a checkout has it in its package. */
const versionOf = (): string => {
  if (process.env.RUNNER_VERSION) return process.env.RUNNER_VERSION;
  const file = new URL('../../package.json', import.meta.url);
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, 'utf8'))).version;
};

const say = (line: string): void => void process.stderr.write(`${line}\n`);
const refuse = (lines: readonly string[]): number => {
  for (const line of lines) say(`village-runner: ${line}`);
  say('village-runner: --help says what there is');
  return 1;
};

const isLoopback = (url: string): boolean => ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(url).hostname);

const run = async (options: HostOptions): Promise<number> => {
  const identified = identify(options);
  if (identified.kind === 'refused') return refuse([identified.message]);
  const { url, token } = identified;
  for (const folder of [options.workspace, options.state]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (url.startsWith('http:') && !isLoopback(url))
    say(`village-runner: ${url} is not encrypted: whoever listens on the way reads the sessions`);
  const clis =
    options.buildDir === undefined ? findClis(process.env.PATH ?? '') : { VILLAGE_BUILD_DIR: options.buildDir };
  const settings = {
    CONTROL_PLANE_URL: url,
    CONTROL_PLANE_TOKEN: token,
    WORKSPACE_ROOT: options.workspace,
    VILLAGE_STATE_DIR: options.state,
    MAX_CONCURRENT_SESSIONS: String(options.maxSessions),
    RUNNER_VERSION: versionOf(),
    ...clis,
  };
  say(
    `village-runner: up to ${options.maxSessions} sessions of ${url}; work in ${options.workspace}, state in ${options.state}`,
  );
  say(
    'village-runner: agents run as this user and can read what it can: give the runner a user of its own, or a container',
  );
  const host = runHost(settings, process.env, say);
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => {
      say('village-runner: ending in order, sessions go on elsewhere; once more ends them at once');
      host.stop();
    });
  return host.exited;
};

const main = async (): Promise<number> => {
  const parsed = parseOptions(process.argv.slice(2), process.env, process.cwd());
  switch (parsed.kind) {
    case 'help':
      process.stdout.write(USAGE);
      return 0;
    case 'version':
      process.stdout.write(`${versionOf()}\n`);
      return 0;
    case 'bad':
      return refuse(parsed.lines);
    case 'run':
      return run(parsed.options);
  }
};

try {
  process.exit(await main());
} catch (error) {
  // A folder that cannot be made or read, above all.
  say(`village-runner: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
