import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { InstallOptions, InstallResult } from '../../../../local/builds/install-cli.ts';
import { installInto } from '../../../../local/builds/install-into.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'village-into-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const install = async ({ provider, version, cacheDir = '' }: InstallOptions): Promise<InstallResult> => {
  if (version === '9.9.9') return { kind: 'failed', code: 'unknown_version', message: `npm has no ${provider}` };
  if (provider === 'shell') return { kind: 'installed', binPath: '/bin/bash', downloaded: false };
  const binPath = join(cacheDir, `${provider}@${version}`, 'node_modules', '.bin', 'claude');
  return { kind: 'installed', binPath, downloaded: true };
};

it('links each CLI where the runner looks for it, relative, so that the folder can be copied into an image', async () => {
  expect(await installInto(dir, ['claude_code@2.1.330', 'shell@system'], () => {}, install)).toEqual([]);
  expect(readlinkSync(join(dir, 'claude_code'))).toBe('claude_code@2.1.330');
  expect(() => readlinkSync(join(dir, 'shell'))).toThrow('ENOENT');
});

it('says what could not be installed', async () => {
  const failures = await installInto(dir, ['nonsense@1.0.0', 'codex@9.9.9'], () => {}, install);
  expect(failures).toEqual(['"nonsense@1.0.0" names no provider we know', 'npm has no codex']);
});
