/** `npm run image`: builds the runner's image from its Dockerfile with buildah, so that no engine has to run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Base, findBase } from './base-image.ts';
import { type RunProgram, runOrThrow, runProgram } from './run-program.ts';
import { defaultStorageDir, IMAGE, openStorage, type Storage } from './storage.ts';
import { BUILD_TOOLS, missingTools, skippedLine } from './tools.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DOCKERFILE = join(ROOT, 'runner-image', 'Dockerfile');
const BUILD_TIMEOUT_MS = 20 * 60_000;
const GIT_TIMEOUT_MS = 10_000;

export interface BuildOptions {
  readonly storage: Storage;
  readonly say: (line: string) => void;
  readonly tag?: string;
  /** Another base than the Dockerfile's; it must be in the storage or pullable. */
  readonly base?: string;
  /** For example `claude_code@2.1.330`; they are part of the image. */
  readonly clis?: readonly string[];
  readonly pull?: boolean;
  readonly run?: RunProgram;
}
export type BuildResult =
  | { readonly kind: 'built'; readonly tag: string; readonly base: Base['kind'] }
  /** `message` is one line for people. */
  | { readonly kind: 'skipped'; readonly message: string };

/** The default of `ARG BASE_IMAGE`. */
export const baseOf = (dockerfile: string): string => {
  const found = /^ARG BASE_IMAGE=(\S+)$/m.exec(dockerfile)?.[1];
  if (found === undefined) throw new Error('the Dockerfile names no BASE_IMAGE');
  return found;
};

const versionOf = (packageJson: unknown): string => {
  if (typeof packageJson === 'object' && packageJson !== null && 'version' in packageJson)
    return String(packageJson.version);
  throw new Error('package.json has no version');
};

/** The commit the sources are of; `unknown` outside of a clone. */
const revisionOf = async (run: RunProgram, env: NodeJS.ProcessEnv): Promise<string> => {
  const { exitCode, output } = await run('git', ['rev-parse', 'HEAD'], { env, cwd: ROOT, timeoutMs: GIT_TIMEOUT_MS });
  return exitCode === 0 ? output.trim() : 'unknown';
};

/** Builds and tags the image; throws when a step of the Dockerfile fails. */
export const buildImage = async (options: BuildOptions): Promise<BuildResult> => {
  const { storage, say, tag = IMAGE, clis = [], pull = false, run = runProgram } = options;
  const missing = missingTools(BUILD_TOOLS, storage.env.PATH ?? '');
  if (missing.length > 0) return { kind: 'skipped', message: skippedLine(missing) };
  const wanted = options.base ?? baseOf(readFileSync(DOCKERFILE, 'utf8'));
  const base = await findBase({ storage, run, say, wanted, pull });
  if (base.kind === 'missing') return { kind: 'skipped', message: base.message };
  const version = versionOf(JSON.parse(readFileSync(join(ROOT, 'runner-image', 'package.json'), 'utf8')));
  const buildArgs = [
    `BASE_IMAGE=${base.image}`,
    `CLIS=${clis.join(' ')}`,
    `VERSION=${version}`,
    `REVISION=${await revisionOf(run, storage.env)}`,
  ];
  // HEALTHCHECK exists in Docker's format only.
  const args = ['build', '--layers', '--format', 'docker', '--ignorefile', `${DOCKERFILE}.dockerignore`];
  const named = [...buildArgs.flatMap((arg) => ['--build-arg', arg]), '--tag', tag, '--file', DOCKERFILE, ROOT];
  say(`image: building ${tag} on ${base.image}`);
  await runOrThrow(run, 'buildah', [...args, ...named], {
    env: storage.env,
    cwd: ROOT,
    timeoutMs: BUILD_TIMEOUT_MS,
    onLine: (line) => say(`  ${line}`),
  });
  return { kind: 'built', tag, base: base.kind };
};

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      tag: { type: 'string', default: IMAGE },
      base: { type: 'string' },
      cli: { type: 'string', multiple: true, default: [] },
      store: { type: 'string', default: defaultStorageDir() },
      pull: { type: 'boolean', default: false },
    },
  });
  // The exit handlers kill what runs.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  const result = await buildImage({
    storage: openStorage(values.store),
    say: (line) => console.log(line),
    tag: values.tag,
    clis: values.cli,
    pull: values.pull,
    ...(values.base === undefined ? {} : { base: values.base }),
  });
  console.log(
    result.kind === 'skipped' ? result.message : `built ${result.tag} (${result.base} base) in ${values.store}`,
  );
};

if (import.meta.main)
  await main().catch((error: unknown) => {
    // A step that failed has told its lines already; a stack of ours says nothing more.
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  });
