import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { detectVersion } from '../../../../runner-image/src/adapters/detect.ts';
import { knownClis } from '../../../../runner-image/src/session/known-clis.ts';

let build: string;
beforeEach(() => {
  build = mkdtempSync(join(tmpdir(), 'known-clis-'));
});
afterEach(() => rmSync(build, { recursive: true, force: true }));

/** As npm lays it out: the program under .bin is a link into its package. */
const install = (provider: string, bin: string, packageName: string, manifest: string, answer: string): string => {
  const modules = join(build, provider, 'node_modules');
  const folder = join(modules, packageName);
  mkdirSync(join(folder, 'bin'), { recursive: true });
  mkdirSync(join(modules, '.bin'));
  writeFileSync(join(folder, 'package.json'), manifest);
  const program = join(folder, 'bin', 'cli');
  writeFileSync(program, `#!/bin/sh\necho ${answer}\n`);
  chmodSync(program, 0o755);
  symlinkSync(program, join(modules, '.bin', bin));
  return join(modules, '.bin', bin);
};
const manifest = (version: string) => JSON.stringify({ name: 'x', version });
const configOf = (folder: string) => ({
  VILLAGE_BUILD_DIR: folder,
  CLAUDE_CODE_PATH: undefined,
  CODEX_PATH: undefined,
  GEMINI_PATH: undefined,
});

describe('knownClis', () => {
  it('reads what a build holds, without running it', () => {
    install('claude_code', 'claude', '@anthropic-ai/claude-code', manifest('2.1.330'), 'never asked');
    install('codex', 'codex', '@openai/codex', 'not json', 'never asked');
    const { shell: _shell, ...clis } = knownClis(configOf(build));
    expect(clis).toEqual({ claude_code: '2.1.330' });
  });

  it('believes the program once it was asked', async () => {
    const file = install('claude_code', 'claude', '@anthropic-ai/claude-code', manifest('2.1.330'), '2.1.331');
    await detectVersion(file, /(\d+\.\d+\.\d+)/);
    expect(knownClis(configOf(build)).claude_code).toBe('2.1.331');
  });

  it('names nothing without a build', () => {
    const { shell: _shell, ...clis } = knownClis({ ...configOf(build), VILLAGE_BUILD_DIR: undefined });
    expect(clis).toEqual({});
  });
});
