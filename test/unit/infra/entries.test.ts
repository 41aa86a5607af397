import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type BuildResult, build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUNDLE_BANNER, BUNDLE_TARGET } from '../../../infra/bundle.ts';
import { FUNCTIONS } from '../../../infra/topology.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const LOAD_TIMEOUT_MS = 45_000;
/** Lambda's own limit for code, unzipped, is 250 MB; a start reads all of it. */
const BUNDLE_MAX_BYTES = 6 * 1_024 * 1_024;

let outdir: string;
let loaded: unknown;
let built: BuildResult<{ metafile: true }>;
beforeAll(async () => {
  outdir = mkdtempSync(join(tmpdir(), 'village-bundles-'));
  built = await build({
    entryPoints: Object.fromEntries(FUNCTIONS.map(({ name, entry }) => [name, entry])),
    absWorkingDir: ROOT,
    outdir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: BUNDLE_TARGET,
    banner: { js: BUNDLE_BANNER },
    metafile: true,
    logLevel: 'silent',
  });
  loaded = await loadAll();
});
/** In a process of its own: the bundles meet Node as it is, without the test runner's loader. */
const LOAD = `
const handlers = {};
for (const [name, url] of JSON.parse(process.argv[1])) handlers[name] = typeof (await import(url)).handler;
process.stdout.write(JSON.stringify(handlers));
`;
const loadAll = async (): Promise<unknown> => {
  const bundles = FUNCTIONS.map(({ name }) => [name, pathToFileURL(join(outdir, `${name}.mjs`)).href]);
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', LOAD, JSON.stringify(bundles)],
    {
      timeout: LOAD_TIMEOUT_MS,
      killSignal: 'SIGKILL',
      env: { AWS_REGION: 'eu-central-1', POWERTOOLS_TRACE_ENABLED: 'false' },
    },
  );
  return JSON.parse(stdout);
};
afterAll(() => rmSync(outdir, { recursive: true, force: true }));

const outputOf = (entry: string) => {
  const output = Object.values(built.metafile.outputs).find(({ entryPoint }) => entryPoint === entry);
  if (output === undefined) throw new Error(`no bundle of ${entry}`);
  return output;
};

describe.each(FUNCTIONS.map(({ name, entry }) => [name, entry] as const))('%s', (name, entry) => {
  it('bundles, with a handler and a size that starts fast', () => {
    const { exports, bytes } = outputOf(entry);
    expect(exports).toEqual(['handler']);
    expect(bytes).toBeLessThan(BUNDLE_MAX_BYTES);
  });

  it('takes in nothing of infra, the local platform, the runner, the page or tests', () => {
    const own = Object.keys(outputOf(entry).inputs).filter((path) => !path.startsWith('node_modules/'));
    const strangers = own.filter((path) => !/^(functions|shared)\//.test(path));
    expect(own).toContain(entry);
    expect(strangers).toEqual([]);
  });

  it('loads in plain Node, with a function as handler', () => {
    expect(loaded).toMatchObject({ [name]: 'function' });
  });
});
