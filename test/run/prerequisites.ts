/** What the tests need beyond npm packages: found, fetched with visible progress, or named with what to do. */
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { installCli } from '../../local/builds/install-cli.ts';
import { findDynoxide } from '../../local/dynamodb/dynoxide.ts';

export interface Prerequisite {
  readonly name: string;
  /** Undefined when it is there; else what to do about it. */
  readonly missing: string | undefined;
}
type Print = (line: string) => void;

/** The CLI that runs with a scripted model; its cache outlives the clone (VILLAGE_CLI_CACHE moves it). */
const CLAUDE_CODE = { provider: 'claude_code', version: '2.1.330' } as const;
const APT_TIMEOUT_MS = 10 * 60_000;

const onPath = (program: string): boolean =>
  (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // Not in this folder.
    }
  });

const hasChromium = (): boolean => existsSync(process.env.CHROMIUM_PATH ?? '/usr/bin/chromium');

const runApt = (args: readonly string[], print: Print): Promise<boolean> =>
  new Promise((resolve) => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const child = spawn('apt-get', args, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: APT_TIMEOUT_MS });
    const show = (chunk: Buffer): void => {
      for (const line of chunk.toString().split('\n'))
        if (/^(Get|Unpacking|Setting up|E:)/.test(line)) print(`  ${line}`);
    };
    child.stdout.on('data', show);
    child.stderr.on('data', show);
    child.once('error', () => resolve(false));
    child.once('close', (code) => resolve(code === 0));
  });

const chromium = async (print: Print): Promise<Prerequisite> => {
  const name = 'chromium';
  if (hasChromium()) return { name, missing: undefined };
  const byHand = 'apt-get install chromium, or name one with CHROMIUM_PATH';
  if (process.getuid?.() !== 0 || !onPath('apt-get')) return { name, missing: byHand };
  print('chromium: installing with apt-get');
  await runApt(['update', '-q'], print);
  await runApt(['install', '-y', '-q', '--no-install-recommends', 'chromium'], print);
  return { name, missing: hasChromium() ? undefined : `apt-get could not install it: ${byHand}` };
};

const claudeCode = async (print: Print): Promise<Prerequisite> => {
  const result = await installCli({ ...CLAUDE_CODE, onProgress: print });
  return { name: CLAUDE_CODE.provider, missing: result.kind === 'installed' ? undefined : result.message };
};

const program = (name: string, hint: string): Prerequisite => ({ name, missing: onPath(name) ? undefined : hint });

/** Looks for each; fetches what may be fetched. */
export const findPrerequisites = async (print: Print): Promise<Prerequisite[]> => [
  program('git', 'install git'),
  {
    name: 'dynoxide',
    missing: findDynoxide() === undefined ? 'it exists for Linux on x64 only, as an optional npm package' : undefined,
  },
  await chromium(print),
  await claudeCode(print),
  program('buildah', 'apt-get install buildah: only the image is built with it'),
  program('podman', 'apt-get install podman: only the image is run with it'),
];
