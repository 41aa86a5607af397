import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { STAND_IN_BASE } from '../../../../runner-image/build/base-image.ts';
import { baseOf, buildImage } from '../../../../runner-image/build/build-image.ts';
import type { RunProgram } from '../../../../runner-image/build/run-program.ts';
import { defaultStorageDir, openStorage } from '../../../../runner-image/build/storage.ts';
import { missingTools, skippedLine } from '../../../../runner-image/build/tools.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'village-image-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const REAL_BASE = 'docker.io/library/node:24.21.0-bookworm-slim';
const addTools = (...names: string[]): void => {
  for (const name of names) writeFileSync(join(dir, name), '#!/bin/sh\n', { mode: 0o755 });
};
/** A machine whose store holds `here`; what ran is in `calls`. */
const machine = ({ here = [] as string[], canPull = false, failing = '' }) => {
  const calls: string[][] = [];
  const run: RunProgram = async (file, args) => {
    calls.push([file, ...args]);
    if (file === 'git') return { exitCode: 0, output: 'abc123\n' };
    if (args[0] === 'inspect') return { exitCode: here.includes(args.at(-1) ?? '') ? 0 : 125, output: '' };
    if (args[0] === 'pull') return { exitCode: canPull ? 0 : 125, output: '' };
    return { exitCode: args[0] === failing ? 1 : 0, output: 'STEP 1\nno space left\n' };
  };
  return { calls, run, ran: (verb: string) => calls.filter(([, second]) => second === verb) };
};
const build = (over: Partial<Parameters<typeof buildImage>[0]> & { run: RunProgram }) =>
  buildImage({ storage: openStorage(join(dir, 'store'), { PATH: dir, TMPDIR: dir }), say: () => {}, ...over });

describe('building the image', () => {
  it('is skipped with what to install where buildah is not', async () => {
    const { run, calls } = machine({});
    expect(await build({ run })).toEqual({
      kind: 'skipped',
      message: 'skipped: buildah not found; on Debian: apt-get install buildah podman runc mmdebstrap',
    });
    expect(calls).toEqual([]);
  });

  it('uses the real base where it is, and says version, commit and CLIs to the Dockerfile', async () => {
    addTools('buildah');
    const { run, ran } = machine({ here: [REAL_BASE] });
    const result = await build({ run, tag: 'localhost/t:1', clis: ['claude_code@2.1.330', 'codex@1.0.0'] });
    expect(result).toEqual({ kind: 'built', tag: 'localhost/t:1', base: 'real' });
    const [command = []] = ran('build');
    const { version } = JSON.parse(readFileSync('runner-image/package.json', 'utf8'));
    expect(command.filter((_, index) => command[index - 1] === '--build-arg')).toEqual([
      `BASE_IMAGE=${REAL_BASE}`,
      'CLIS=claude_code@2.1.330 codex@1.0.0',
      `VERSION=${version}`,
      'REVISION=abc123',
    ]);
    expect(ran('pull')).toEqual([]);
  });

  it('pulls the real base before it makes a stand-in', async () => {
    addTools('buildah');
    const { run, ran } = machine({ canPull: true });
    expect(await build({ run })).toMatchObject({ base: 'real' });
    expect(ran('pull')).toEqual([['buildah', 'pull', REAL_BASE]]);
  });

  it('keeps to a stand-in made before, unless asked to pull', async () => {
    addTools('buildah');
    const before = machine({ here: [STAND_IN_BASE], canPull: true });
    expect(await build({ run: before.run })).toMatchObject({ base: 'stand_in' });
    expect(before.ran('pull')).toEqual([]);
    expect(before.ran('build')[0]).toContain(`BASE_IMAGE=${STAND_IN_BASE}`);
    expect(await build({ run: before.run, pull: true })).toMatchObject({ base: 'real' });
  });

  it('is skipped where the base can be neither pulled nor made', async () => {
    addTools('buildah', 'npm', 'tar');
    const result = await build({ run: machine({}).run });
    expect(result).toMatchObject({ kind: 'skipped', message: expect.stringContaining('mmdebstrap not found') });
  });

  it('fails with the last lines of what failed, and leaves no folder of a half made base', async () => {
    addTools('buildah', 'npm', 'tar', 'mmdebstrap');
    const { run } = machine({ failing: '--variant=minbase' });
    await expect(build({ run })).rejects.toThrow(/mmdebstrap --variant=minbase ended with 1:[\s\S]*no space left/);
    expect(readdirSync(dir).filter((name) => name.startsWith('village-base-'))).toEqual([]);
    const failing = machine({ here: [REAL_BASE], failing: 'build' });
    await expect(build({ run: failing.run })).rejects.toThrow('buildah build ended with 1');
  });
});

describe('what surrounds the build', () => {
  it('reads the base from the Dockerfile', () => {
    expect(baseOf(readFileSync('runner-image/Dockerfile', 'utf8'))).toBe(REAL_BASE);
    expect(() => baseOf('FROM scratch\n')).toThrow('names no BASE_IMAGE');
  });

  it('keeps images in a store of its own, wherever HOME points', () => {
    expect(defaultStorageDir({ VILLAGE_IMAGE_STORE: '/x' })).toBe('/x');
    expect(defaultStorageDir({ VILLAGE_IMAGE_STORE: 'x', HOME: '/elsewhere' })).toMatch(
      /\/\.cache\/agent-village\/images$/,
    );
    expect(defaultStorageDir({ HOME: '/elsewhere' })).not.toContain('elsewhere');
    const { env } = openStorage(join(dir, 'store'), { PATH: '/bin', VILLAGE_IMAGE_DRIVER: 'vfs' });
    const conf = readFileSync(env.CONTAINERS_STORAGE_CONF ?? '', 'utf8');
    expect(conf).toContain('driver = "vfs"');
    for (const [, path = ''] of conf.matchAll(/root = "(.*)"/g)) expect(path.startsWith(join(dir, 'store'))).toBe(true);
  });

  it('finds a tool only where it can be executed', () => {
    writeFileSync(join(dir, 'podman'), '', { mode: 0o644 });
    addTools('runc');
    expect(missingTools(['podman', 'runc'], `:/nonexistent:${dir}`)).toEqual(['podman']);
    expect(skippedLine(['podman'])).toContain('apt-get install');
  });
});
