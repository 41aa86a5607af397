import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { catalogEntry } from '../../../../local/builds/catalog.ts';
import { defaultCliCache, type InstallOptions, installCli } from '../../../../local/builds/install-cli.ts';

let folder: string;
let cacheDir: string;
let lines: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'village-install-'));
  cacheDir = join(folder, 'cache');
  lines = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Stands for npm: `$FOLDER` is the value of --prefix. */
function npm(script: string): string {
  const file = join(folder, 'npm');
  writeFileSync(file, `#!/bin/sh\necho called >> '${folder}/calls'\nFOLDER="$3"\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}
const installs = (version: string) => `mkdir -p "$FOLDER/node_modules/.bin"
printf '#!/bin/sh\\necho "${version} (Claude Code)"\\n' > "$FOLDER/node_modules/.bin/claude"
chmod +x "$FOLDER/node_modules/.bin/claude"`;
const install = (npmFile: string, over: Partial<InstallOptions> = {}) =>
  installCli({
    provider: 'claude_code',
    version: '2.1.330',
    cacheDir,
    npmFile,
    onProgress: (line) => lines.push(line),
    ...over,
  });
const calls = () => readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n').length;
const binPath = () => join(cacheDir, 'claude_code@2.1.330/node_modules/.bin/claude');

describe('installCli', () => {
  it('downloads once, says so, and finds it again', async () => {
    const npmFile = npm(installs('2.1.330'));
    expect(await install(npmFile)).toEqual({ kind: 'installed', binPath: binPath(), downloaded: true });
    expect(await install(npmFile)).toEqual({ kind: 'installed', binPath: binPath(), downloaded: false });
    expect(calls()).toBe(1);
    expect(lines[0]).toMatch(/^claude_code@2\.1\.330: downloading .* 364 MB/);
    expect(readdirSync(cacheDir)).toEqual(['claude_code@2.1.330']);
  });

  it('lets one of several install, the others wait', async () => {
    const npmFile = npm(`sleep 0.2\n${installs('2.1.330')}`);
    const results = await Promise.all([install(npmFile), install(npmFile), install(npmFile)]);
    expect(results.map((result) => result.kind === 'installed' && result.downloaded).sort()).toEqual([
      false,
      false,
      true,
    ]);
    expect(calls()).toBe(1);
    expect(lines.filter((line) => line.includes('waiting for another'))).toHaveLength(2);
  });

  it('takes over the lock of an installer that died', async () => {
    mkdirSync(cacheDir, { recursive: true });
    // Above the largest pid of Linux: nobody has it.
    writeFileSync(`${cacheDir}/claude_code@2.1.330.lock`, '4194305');
    expect(await install(npm(installs('2.1.330')))).toMatchObject({ kind: 'installed' });
  });

  it('replaces what is there but cannot be run', async () => {
    mkdirSync(join(cacheDir, 'claude_code@2.1.330/leftover'), { recursive: true });
    expect(await install(npm(installs('2.1.330')))).toMatchObject({ kind: 'installed', downloaded: true });
    expect(existsSync(join(cacheDir, 'claude_code@2.1.330/leftover'))).toBe(false);
  });

  it.each([
    ['echo "npm error code ETARGET" >&2; exit 1', 'unknown_version'],
    ['echo "npm error code E404" >&2; exit 1', 'unknown_version'],
    ['echo "npm error code ENOTFOUND" >&2; exit 1', 'no_network'],
    ['echo "npm error code EACCES" >&2; exit 1', 'npm_failed'],
    ['exit 0', 'not_runnable'],
    [installs('9.9.9'), 'not_runnable'],
  ])('leaves nothing behind and says why: %s', async (script, code) => {
    expect(await install(npm(script))).toMatchObject({
      kind: 'failed',
      code,
      message: expect.stringContaining(code === 'not_runnable' ? 'claude' : '@2.1.330'),
    });
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  it('gives up an npm that hangs, with what it started', async () => {
    expect(await install(npm('sleep 300 & wait'), { timeoutMs: 150 })).toMatchObject({
      kind: 'failed',
      code: 'timeout',
    });
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  it('says that npm is missing, or that nothing of that name exists', async () => {
    expect(await install(join(folder, 'no-npm'))).toMatchObject({ code: 'npm_missing' });
    expect(await install('npm', { version: '../../x' })).toMatchObject({ code: 'unknown_cli' });
    expect(await installCli({ provider: 'shell', version: 'system' })).toEqual({
      kind: 'installed',
      binPath: '/bin/bash',
      downloaded: false,
    });
  });
});

describe('defaultCliCache', () => {
  it('follows VILLAGE_CLI_CACHE, then XDG_CACHE_HOME, and ignores relative values', () => {
    expect(defaultCliCache({ VILLAGE_CLI_CACHE: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c');
    expect(defaultCliCache({ VILLAGE_CLI_CACHE: 'c', XDG_CACHE_HOME: '/x' })).toBe('/x/agent-village/clis');
    expect(defaultCliCache({ XDG_CACHE_HOME: 'x' })).toMatch(/^\/.*\/\.cache\/agent-village\/clis$/);
  });
});

describe('catalogEntry', () => {
  it('knows the CLIs that npm has, and the shell', () => {
    expect(catalogEntry('claude_code@2.1.330')).toMatchObject({
      kind: 'known',
      entry: { kind: 'npm', packageName: '@anthropic-ai/claude-code', bin: 'claude' },
    });
    expect(catalogEntry('codex@0.169.0-alpha.1')).toMatchObject({
      kind: 'known',
      entry: { packageName: '@openai/codex' },
    });
    expect(catalogEntry('shell@system')).toEqual({
      kind: 'known',
      entry: { kind: 'system', provider: 'shell', file: '/bin/bash' },
    });
  });
  it.each([
    'claude_code',
    'claude_code@latest',
    'claude_code@^2',
    'claude_code@1.2.3@4',
    'nobody@1.0.0',
    'omnara@1.7.0',
    'shell@5',
    '',
    'claude_code@1.2.3/../x',
  ])('refuses %j with a word on what to write', (spec) =>
    expect(catalogEntry(spec)).toMatchObject({ kind: 'unknown', message: expect.stringMatching(/write|version|npm/) }),
  );
});
