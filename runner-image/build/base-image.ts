/** The base of the image: the real one where it can be pulled, else a stand-in of Debian, the Node that runs us, and npm. */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunProgram, runOrThrow } from './run-program.ts';
import type { Storage } from './storage.ts';
import { missingTools, STAND_IN_TOOLS, skippedLine } from './tools.ts';

export interface BaseOptions {
  readonly storage: Storage;
  readonly run: RunProgram;
  readonly say: (line: string) => void;
  /** The Dockerfile's own base. */
  readonly wanted: string;
  /** Try to pull it although a stand-in was made before. */
  readonly pull: boolean;
}
export type Base =
  | { readonly kind: 'real' | 'stand_in'; readonly image: string }
  /** `message` is one line for people. */
  | { readonly kind: 'missing'; readonly message: string };

const INSPECT_TIMEOUT_MS = 60_000;
const PULL_TIMEOUT_MS = 5 * 60_000;
const DEBIAN_TIMEOUT_MS = 10 * 60_000;
const NPM_TIMEOUT_MS = 2 * 60_000;
const COMMIT_TIMEOUT_MS = 5 * 60_000;
/** That of the pinned Node. */
const NPM_VERSION = '11.21.2';
const TRUST_FOLDER = '/usr/local/share/ca-certificates';
const TRUST_BUNDLE = '/etc/ssl/certs/ca-certificates.crt';

const DOCKERFILE = `FROM scratch
ADD debian.tar /
COPY node /usr/local/bin/node
COPY package /usr/local/lib/node_modules/npm
COPY trust/ ${TRUST_FOLDER}/
COPY npmrc /usr/local/lib/node_modules/npm/npmrc
RUN cat ${TRUST_FOLDER}/* > /usr/local/share/build-trust.crt \\
  && ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \\
  && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx \\
  && chmod +x /usr/local/lib/node_modules/npm/bin/*.js \\
  && node --version && npm --version
CMD ["node"]
`;

/** npm's built-in configuration: unlike the global one it counts wherever `--prefix` points. */
const NPMRC = 'cafile=/usr/local/share/build-trust.crt\nupdate-notifier=false\n';

/** The base where the real one cannot be pulled; the name says what it is, and changes with what it is made of. */
export const STAND_IN_BASE = `localhost/agent-village-stand-in-base:do-not-publish-${createHash('sha256')
  .update([DOCKERFILE, NPMRC, NPM_VERSION, process.version].join('\0'))
  .digest('hex')
  .slice(0, 12)}`;

/** What this machine trusts belongs into the stand-in, never into the Dockerfile: the real base knows nothing of it. */
const copyTrust = (dir: string): void => {
  const trust = join(dir, 'trust');
  mkdirSync(trust);
  if (existsSync(TRUST_BUNDLE)) copyFileSync(TRUST_BUNDLE, join(trust, 'bundle.crt'));
  else writeFileSync(join(trust, 'bundle.crt'), '');
  if (!existsSync(TRUST_FOLDER)) return;
  for (const name of readdirSync(TRUST_FOLDER))
    if (name.endsWith('.crt')) copyFileSync(join(TRUST_FOLDER, name), join(trust, name));
};

const makeStandIn = async ({ storage, run, say }: BaseOptions): Promise<void> => {
  const dir = mkdtempSync(join(storage.env.TMPDIR ?? tmpdir(), 'village-base-'));
  const env = { ...storage.env, TMPDIR: dir };
  const step = (file: string, args: readonly string[], timeoutMs: number) =>
    runOrThrow(run, file, args, { env, cwd: dir, timeoutMs, onLine: (line) => say(`  ${line}`) });
  try {
    say('stand-in base: Debian bookworm with mmdebstrap (about half a minute)');
    await step('mmdebstrap', ['--variant=minbase', '--components=main', 'bookworm', 'debian.tar'], DEBIAN_TIMEOUT_MS);
    say(`stand-in base: Node ${process.version} and npm ${NPM_VERSION}`);
    await step('npm', ['pack', '--silent', `npm@${NPM_VERSION}`], NPM_TIMEOUT_MS);
    await step('tar', ['--extract', '--gzip', '--file', `npm-${NPM_VERSION}.tgz`], NPM_TIMEOUT_MS);
    copyFileSync(process.execPath, join(dir, 'node'));
    copyTrust(dir);
    writeFileSync(join(dir, 'npmrc'), NPMRC);
    writeFileSync(join(dir, 'Dockerfile'), DOCKERFILE);
    await step('buildah', ['build', '--squash', '--tag', STAND_IN_BASE, '.'], COMMIT_TIMEOUT_MS);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

/** Finds, pulls or makes the base. Throws when making the stand-in fails. */
export const findBase = async (options: BaseOptions): Promise<Base> => {
  const { storage, run, say, wanted, pull } = options;
  const isHere = async (image: string): Promise<boolean> => {
    const args = ['inspect', '--type', 'image', '--format', '{{.FromImageID}}', image];
    return (await run('buildah', args, { env: storage.env, timeoutMs: INSPECT_TIMEOUT_MS })).exitCode === 0;
  };
  if (await isHere(wanted)) return { kind: 'real', image: wanted };
  const hasStandIn = await isHere(STAND_IN_BASE);
  if (pull || !hasStandIn) {
    say(`base: pulling ${wanted}`);
    const pulled = await run('buildah', ['pull', wanted], { env: storage.env, timeoutMs: PULL_TIMEOUT_MS });
    if (pulled.exitCode === 0) return { kind: 'real', image: wanted };
    say('base: it cannot be pulled here; a stand-in is used, and such an image must never be published');
  }
  if (!hasStandIn) {
    const missing = missingTools(STAND_IN_TOOLS, storage.env.PATH ?? '');
    if (missing.length > 0) return { kind: 'missing', message: skippedLine(missing) };
    await makeStandIn(options);
  }
  return { kind: 'stand_in', image: STAND_IN_BASE };
};
