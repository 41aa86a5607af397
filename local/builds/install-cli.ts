/** Installs a pinned CLI once into a cache outside the clone; whoever finds the folder finds a CLI that ran. */
import { execFile } from 'node:child_process';
import { access, chmod, constants, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Clock, systemClock } from '../../shared/clock.ts';
import type { ProviderId } from '../../shared/providers.ts';
import { type CatalogEntry, catalogEntry } from './catalog.ts';
import { takeInstallLock } from './install-lock.ts';
import { runNpm } from './run-npm.ts';

export interface InstallOptions {
  readonly provider: ProviderId;
  /** Exact; `system` for the shell. */
  readonly version: string;
  /** Default: defaultCliCache(). */
  readonly cacheDir?: string;
  /** Gets whole lines for people. */
  readonly onProgress?: (line: string) => void;
  readonly clock?: Clock;
  readonly npmFile?: string;
  /** Everything together; a slow line needs minutes for 400 MB. */
  readonly timeoutMs?: number;
}

export type InstallFailure =
  | 'unknown_cli'
  | 'unknown_version'
  | 'no_network'
  | 'npm_missing'
  | 'not_runnable'
  | 'timeout'
  | 'npm_failed';

export type InstallResult =
  /** `downloaded` is false where the cache had it. */
  | { readonly kind: 'installed'; readonly binPath: string; readonly downloaded: boolean }
  | { readonly kind: 'failed'; readonly code: InstallFailure; readonly message: string };

type NpmEntry = CatalogEntry & { kind: 'npm' };

const INSTALL_TIMEOUT_MS = 15 * 60_000;
const PROGRESS_EVERY_MS = 3_000;
const VERSION_TIMEOUT_MS = 20_000;
const MB = 1024 * 1024;

/** Cache of CLIs: VILLAGE_CLI_CACHE, else a folder of XDG_CACHE_HOME or ~/.cache. Relative values count as unset. */
export function defaultCliCache(env: NodeJS.ProcessEnv = process.env): string {
  if (env.VILLAGE_CLI_CACHE?.startsWith('/')) return env.VILLAGE_CLI_CACHE;
  const base = env.XDG_CACHE_HOME?.startsWith('/') ? env.XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(base, 'agent-village', 'clis');
}

const binIn = (folder: string, entry: NpmEntry): string => join(folder, 'node_modules', '.bin', entry.bin);

const isExecutable = (file: string): Promise<boolean> =>
  access(file, constants.X_OK).then(
    () => true,
    () => false,
  );

const failed = (code: InstallFailure, message: string): InstallResult => ({ kind: 'failed', code, message });

/** What went wrong, from npm's own error codes. */
function npmFailure(entry: NpmEntry, output: string): InstallResult {
  const name = `${entry.packageName}@${entry.version}`;
  if (/\b(ETARGET|E404)\b/.test(output)) return failed('unknown_version', `npm has no ${name}`);
  if (/\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH)\b/.test(output)) {
    return failed(
      'no_network',
      `npm cannot reach its registry to download ${name}: check the network and npm's registry setting`,
    );
  }
  const lines = output.split('\n').filter((line) => /npm (error|ERR!)/.test(line));
  return failed(
    'npm_failed',
    `npm could not install ${name}: ${lines.slice(0, 5).join(' ').slice(0, 800) || 'no reason given'}`,
  );
}

async function folderSizeMb(folder: string): Promise<number> {
  let sizeBytes = 0;
  for (const item of await readdir(folder, { recursive: true, withFileTypes: true })) {
    // npm moves files while we look.
    if (item.isFile()) sizeBytes += (await stat(join(item.parentPath, item.name)).catch(() => ({ size: 0 }))).size;
  }
  return Math.round(sizeBytes / MB);
}

/** Repeats how far the download is until it is called off. */
function reportProgress(folder: string, spec: string, clock: Clock, say: (line: string) => void): () => void {
  const startedMs = clock.monotonicMs();
  let isOver = false;
  let cancel = () => {};
  const later = () => {
    cancel = clock.after(PROGRESS_EVERY_MS, async () => {
      const sizeMb = await folderSizeMb(folder).catch(() => 0);
      if (isOver) return;
      say(`${spec}: ${sizeMb} MB after ${Math.round((clock.monotonicMs() - startedMs) / 1_000)} s`);
      later();
    });
  };
  later();
  return () => {
    isOver = true;
    cancel();
  };
}

async function checkRuns(binPath: string, entry: NpmEntry, folder: string): Promise<InstallResult | undefined> {
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: folder };
  try {
    const { stdout } = await promisify(execFile)(binPath, ['--version'], {
      env,
      timeout: VERSION_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    if (stdout.includes(entry.version)) return undefined;
    return failed(
      'not_runnable',
      `${entry.bin} --version answers "${stdout.trim().slice(0, 200)}" instead of ${entry.version}`,
    );
  } catch (error) {
    return failed(
      'not_runnable',
      `${entry.bin} was installed but does not run: ${error instanceof Error ? error.message.slice(0, 500) : 'unknown'}`,
    );
  }
}

interface InstallContext {
  readonly entry: NpmEntry;
  readonly spec: string;
  readonly cacheDir: string;
  readonly npmFile: string;
  readonly clock: Clock;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Installs into a folder of its own and renames it: a half installed CLI is never found. */
async function download(context: InstallContext, target: string): Promise<InstallResult> {
  const { entry, spec, cacheDir, clock, say } = context;
  const folder = await mkdtemp(join(cacheDir, `.${spec}.`));
  const stopReports = reportProgress(folder, spec, clock, say);
  try {
    say(`${spec}: downloading ${entry.packageName} with npm (about ${entry.sizeMb} MB)`);
    // npm asks for a consent to install scripts; Claude Code's puts its program in place.
    const manifest = { private: true, allowScripts: { [entry.packageName]: true } };
    await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
    const flags = [
      '--no-audit',
      '--no-fund',
      '--no-update-notifier',
      '--include=optional',
      '--ignore-scripts=false',
      '--fetch-retries=1',
    ];
    const run = await runNpm(
      context.npmFile,
      ['install', '--prefix', folder, ...flags, `${entry.packageName}@${entry.version}`],
      folder,
      context.signal,
    );
    if (context.signal.aborted) return failed('timeout', `the installation of ${spec} took too long and was given up`);
    if (run.exitCode !== 0) return npmFailure(entry, run.output);
    say(`${spec}: checking that it runs`);
    const problem = await checkRuns(binIn(folder, entry), entry, folder);
    if (problem !== undefined) return problem;
    // A session may run under a uid of its own, which must be able to read the program.
    await chmod(folder, 0o755);
    await rm(target, { recursive: true, force: true });
    await rename(folder, target);
    return { kind: 'installed', binPath: binIn(target, entry), downloaded: true };
  } finally {
    stopReports();
    await rm(folder, { recursive: true, force: true });
  }
}

async function installFromNpm(context: InstallContext): Promise<InstallResult> {
  const { entry, spec, say } = context;
  const target = join(context.cacheDir, spec);
  const binPath = binIn(target, entry);
  const cached: InstallResult = { kind: 'installed', binPath, downloaded: false };
  if (await isExecutable(binPath)) return cached;
  await mkdir(context.cacheDir, { recursive: true });
  let release: () => Promise<void>;
  try {
    release = await takeInstallLock(`${target}.lock`, context.clock, context.signal, () =>
      say(`${spec}: waiting for another installation of it`),
    );
  } catch (error) {
    if (context.signal.aborted) return failed('timeout', `another installation of ${spec} does not end`);
    throw error;
  }
  try {
    return (await isExecutable(binPath)) ? cached : await download(context, target);
  } catch (error) {
    if (
      error instanceof Error &&
      'code' in error &&
      error.code === 'ENOENT' &&
      'syscall' in error &&
      String(error.syscall).startsWith('spawn')
    ) {
      return failed('npm_missing', `npm is not on PATH, and ${spec} is installed with it`);
    }
    throw error;
  } finally {
    await release();
  }
}

/** Makes sure the CLI is in the cache and says where its program is. Never downloads what is there; safe to call from many processes at once. */
export async function installCli(options: InstallOptions): Promise<InstallResult> {
  const spec = `${options.provider}@${options.version}`;
  const known = catalogEntry(spec);
  if (known.kind === 'unknown') return failed('unknown_cli', known.message);
  const { entry } = known;
  if (entry.kind === 'system') {
    if (await isExecutable(entry.file)) return { kind: 'installed', binPath: entry.file, downloaded: false };
    return failed('not_runnable', `this machine has no ${entry.file}`);
  }
  const clock = options.clock ?? systemClock;
  const timeout = new AbortController();
  const cancelTimeout = clock.after(options.timeoutMs ?? INSTALL_TIMEOUT_MS, () => timeout.abort());
  try {
    return await installFromNpm({
      entry,
      spec,
      clock,
      cacheDir: options.cacheDir ?? defaultCliCache(),
      npmFile: options.npmFile ?? 'npm',
      say: options.onProgress ?? (() => undefined),
      signal: timeout.signal,
    });
  } finally {
    cancelTimeout();
  }
}
