import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { detectVersion } from '../../../../runner-image/src/adapters/detect.ts';
import { ADAPTERS } from '../../../../runner-image/src/adapters/registry.ts';
import { PROVIDERS, ProviderId } from '../../../../shared/providers.ts';
import { fakePorts } from './fake-ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'village-detect-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const program = (name: string, script: string): string => {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
};
const config = {
  file: '/nowhere',
  cliVersion: '0',
  workspace: folder,
  privateDir: folder,
  path: '/usr/bin:/bin',
  cliInstanceId: '00000000-0000-4000-8000-000000000000',
};

describe('the registry', () => {
  it('has an adapter for each provider, under its own name and with the shared capabilities', () => {
    for (const provider of ProviderId.options) {
      expect(ADAPTERS[provider].provider).toBe(provider);
      expect(ADAPTERS[provider].capabilities).toEqual(PROVIDERS[provider].capabilities);
    }
  });

  it('refuses what is not built, and starts nothing', async () => {
    for (const provider of ['codex', 'gemini_cli', 'omnara'] as const) {
      const ports = fakePorts();
      expect(PROVIDERS[provider].available).toBe(false);
      expect(await ADAPTERS[provider].startSession(config, ports)).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining('not built'),
      });
      expect(await ADAPTERS[provider].detect('/bin/true')).toMatchObject({ kind: 'missing' });
      expect(ports.spawned).toEqual([]);
    }
  });

  it('refuses Claude Code without a model', async () => {
    const ports = fakePorts();
    expect(await ADAPTERS.claude_code.startSession(config, ports)).toMatchObject({ kind: 'refused' });
    expect(ports.spawned).toEqual([]);
  });
});

describe('detectVersion', () => {
  const VERSION = /v(\d+\.\d+)/;
  it('finds the version among warnings on either stream, and asks a file once', async () => {
    const file = program('good', 'echo "warning: x" >&2; echo "cli v1.2" >&2; echo called >> "$0.calls"');
    expect(await detectVersion(file, VERSION)).toEqual({ kind: 'found', version: '1.2' });
    rmSync(file);
    expect(await detectVersion(file, VERSION)).toEqual({ kind: 'found', version: '1.2' });
  });
  it('says why there is none: missing, failing, silent, or too slow; and asks again later', async () => {
    const file = join(folder, 'late');
    expect(await detectVersion(file, VERSION)).toMatchObject({
      kind: 'missing',
      reason: expect.stringContaining('ENOENT'),
    });
    expect(await detectVersion(program('fails', 'echo v1.2; exit 3'), VERSION)).toMatchObject({ kind: 'missing' });
    expect(await detectVersion(program('silent', 'echo hello'), VERSION)).toMatchObject({
      reason: expect.stringContaining('names no version'),
    });
    expect(await detectVersion(program('slow', 'exec sleep 60'), VERSION, 100)).toMatchObject({
      reason: expect.stringContaining('no answer within 100 ms'),
    });
    program('late', 'echo v3.4');
    expect(await detectVersion(file, VERSION)).toEqual({ kind: 'found', version: '3.4' });
  });
  it('gives the CLI nothing of our environment', async () => {
    process.env.VILLAGE_TEST_CANARY = 'v6.6';
    expect(await detectVersion(program('env', 'env; echo v1.0'), /v(6\.6|1\.0)/)).toEqual({
      kind: 'found',
      version: '1.0',
    });
    delete process.env.VILLAGE_TEST_CANARY;
  });
});
