/** `village doctor`: what this machine has and lacks, each with what to do about it. */
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import pc from 'picocolors';
import { Health, type RunnerInfo, RunnerList } from '../../shared/http.ts';
import { everyRunner } from '../../shared/runner-pages.ts';
import { createApiClient } from '../api-client.ts';
import { EXIT } from '../cli-error.ts';
import type { CommandContext } from '../context.ts';
import { findEndpoint } from '../endpoint.ts';
import type { Run } from '../run.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NODE_MAJOR_MIN = 24;
const DEFAULT_PORT = 4310;
const PROBE_TIMEOUT_MS = 5_000;
const CHROMIUMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** `missing` is in the way; `absent` only costs something that is optional. */
export interface Finding {
  readonly name: string;
  readonly status: 'ok' | 'absent' | 'missing';
  readonly detail: string;
  readonly hint?: string;
}

const ok = (name: string, detail: string): Finding => ({ name, status: 'ok', detail });
const run = promisify(execFile);

const checkNode = (): Finding =>
  Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN
    ? ok('node', process.version)
    : {
        name: 'node',
        status: 'missing',
        detail: process.version,
        hint: 'npm ci installs Node 24; use npm start and npx village',
      };

const checkGit = async (): Promise<Finding> => {
  try {
    const { stdout } = await run('git', ['--version'], { timeout: PROBE_TIMEOUT_MS });
    return ok('git', stdout.trim());
  } catch {
    return { name: 'git', status: 'missing', detail: 'not found', hint: 'install git' };
  }
};

const checkChromium = (): Finding => {
  const found = CHROMIUMS.find((path) => existsSync(path));
  return found === undefined
    ? {
        name: 'chromium',
        status: 'absent',
        detail: 'not found',
        hint: 'only browser tests need it: apt-get install chromium',
      }
    : ok('chromium', found);
};

const checkDynoxide = (): Finding => {
  const path = join(ROOT, 'node_modules/@dynoxide/linux-x64/dynoxide');
  return existsSync(path)
    ? ok('dynoxide', path)
    : {
        name: 'dynoxide',
        status: 'missing',
        detail: 'not installed on this platform',
        hint: 'start with --dynamodb-endpoint <url>',
      };
};

const checkDataDir = (context: CommandContext): Finding => {
  const dir = resolve(context.dataDir ?? '.village');
  const nearest = existsSync(dir) ? dir : dirname(dir);
  try {
    accessSync(nearest, constants.W_OK);
    return ok('data directory', existsSync(dir) ? dir : `${dir} (will be made)`);
  } catch {
    return {
      name: 'data directory',
      status: 'missing',
      detail: `${nearest} cannot be written`,
      hint: 'name another with --data-dir',
    };
  }
};

const checkCache = (context: CommandContext): Finding => {
  const dir =
    context.env.VILLAGE_CLI_CACHE ??
    join(context.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'agent-village', 'clis');
  return existsSync(dir)
    ? ok('CLI cache', dir)
    : {
        name: 'CLI cache',
        status: 'absent',
        detail: `${dir} is empty`,
        hint: 'village builds add claude_code@<version> fills it',
      };
};

const isPortFree = (port: number): Promise<boolean> =>
  new Promise((settle) => {
    const server = createServer();
    server.once('error', () => settle(false));
    server.listen(port, '127.0.0.1', () => server.close(() => settle(true)));
  });

/** A village that runs explains why its port is taken. */
const checkVillage = async (context: CommandContext): Promise<Finding> => {
  try {
    const endpoint = findEndpoint(context.dataDir, context.env);
    const health = await createApiClient(endpoint).get('/api/health', Health);
    return ok('village', `${endpoint.url} answers, version ${health.version}`);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    if (await isPortFree(DEFAULT_PORT)) return { name: 'village', status: 'absent', detail: why, hint: 'npm start' };
    const hint = 'start with another --port';
    return {
      name: 'village',
      status: 'absent',
      detail: `${why} Port ${DEFAULT_PORT} is taken by another program.`,
      hint,
    };
  }
};

const ownRunners = async (context: CommandContext): Promise<RunnerInfo[]> => {
  try {
    const runners = await everyRunner((page) => context.api().get(page, RunnerList));
    return runners.filter(({ kind, state }) => kind === 'customer' && state !== 'revoked');
  } catch {
    // Whether a village answers is a finding of its own.
    return [];
  }
};

/** Runners of one's own: none is no fault, a lost one is said. */
const checkRunners = async (context: CommandContext): Promise<Finding[]> => {
  const own = await ownRunners(context);
  if (own.length === 0) return [];
  const serving = own.filter(({ state }) => state === 'serving').length;
  const lost = own.filter(({ state }) => state === 'lost').map(({ runnerId }) => runnerId);
  const detail = `${serving} of ${own.length} of your own serve`;
  if (lost.length === 0) return [ok('runners', detail)];
  const hint = `silent: ${lost.join(', ')}; start them again, or village runners revoke <id>`;
  return [{ name: 'runners', status: 'absent', detail, hint }];
};

const MARKS = { ok: pc.green('ok     '), absent: pc.yellow('absent '), missing: pc.red('missing') } as const;

export const addDoctor = (program: Command, wrap: Run): void => {
  program
    .command('doctor')
    .description('check this machine and the village that runs on it')
    .action(
      wrap(async (context) => {
        const findings = [
          checkNode(),
          await checkGit(),
          checkChromium(),
          checkDynoxide(),
          checkDataDir(context),
          checkCache(context),
          await checkVillage(context),
          ...(await checkRunners(context)),
        ];
        const isHealthy = findings.every(({ status }) => status !== 'missing');
        if (context.output.json) context.output.object({ ok: isHealthy, findings });
        else
          for (const { name, status, detail, hint } of findings)
            context.output.line(
              `${MARKS[status]} ${name.padEnd(15)} ${detail}${hint === undefined ? '' : pc.dim(` — ${hint}`)}`,
            );
        return isHealthy ? EXIT.ok : EXIT.failed;
      }),
    );
};
