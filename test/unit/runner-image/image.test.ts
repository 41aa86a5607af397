import { globSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { RUNNER_SETTINGS } from '../../../runner-image/src/config.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const Manifest = z.object({
  version: z.string(),
  type: z.literal('module'),
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()).default({}),
});
const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), integrity: z.string().optional(), resolved: z.string().optional() }),
  ),
});
const root = Manifest.parse(JSON.parse(read('package.json')));
const image = Manifest.parse(JSON.parse(read('runner-image/package.json')));
const rootLock = Lock.parse(JSON.parse(read('package-lock.json')));
const lock = Lock.parse(JSON.parse(read('runner-image/package-lock.json')));

/** Names of packages that the sources import; `@scope/name/part` counts as `@scope/name`. */
const importedPackages = (...patterns: string[]): string[] => {
  const names = new Set<string>();
  for (const file of globSync(patterns, { cwd: ROOT }))
    for (const [, specifier = ''] of read(file).matchAll(/^(?:import|export) [^;]*?from '([^'.][^']*)';$/gms)) {
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      if (!specifier.startsWith('node:') && !builtinModules.includes(name)) names.add(name);
    }
  return [...names].sort();
};

describe('packages of the image', () => {
  it('are exactly those that runner and shared import', () => {
    const imported = importedPackages('runner-image/src/**/*.ts', 'shared/*.ts');
    expect(imported).toContain('zod');
    expect(Object.keys(image.dependencies).sort()).toEqual(imported);
  });

  it('have the versions of the root, which the runner has locally', () => {
    expect(image.version).toBe(root.version);
    for (const [name, version] of Object.entries(image.dependencies))
      expect([name, version]).toEqual([name, root.dependencies[name]]);
  });

  it('are locked as the root locks them, down to the last one', () => {
    expect(Object.keys(lock.packages).length).toBeGreaterThan(Object.keys(image.dependencies).length);
    for (const [path, { version, integrity }] of Object.entries(lock.packages).filter(([path]) => path !== '')) {
      expect([path, version, integrity]).toEqual([
        path,
        rootLock.packages[path]?.version,
        rootLock.packages[path]?.integrity,
      ]);
      expect(integrity).toMatch(/^sha512-/);
    }
  });

  it('are locked without an address of a registry, and for Fargate’s arm64', () => {
    expect(Object.entries(lock.packages).filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    expect(read('runner-image/package-lock.json')).not.toMatch(
      /https?:\/\/(?!(github\.com|opencollective\.com|paulmillr\.com)\b)/,
    );
    expect(Object.keys(lock.packages)).toContain('node_modules/@lydell/node-pty-linux-arm64');
  });
});

describe('the Dockerfile', () => {
  const lines = read('runner-image/Dockerfile')
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const of = (instruction: string): string[] =>
    lines.filter((line) => line.startsWith(`${instruction} `)).map((line) => line.slice(instruction.length + 1).trim());
  const files = (): string[] =>
    of('COPY')
      .filter((line) => !line.startsWith('--from='))
      .flatMap((line) => line.split(/\s+/).slice(0, -1));

  it('builds on the Node that the root pins', () => {
    expect(of('ARG')).toContain(`BASE_IMAGE=docker.io/library/node:${root.devDependencies.node}-bookworm-slim`);
    expect(of('FROM')[0]).toMatch(/^\$\{BASE_IMAGE\} AS system$/);
  });

  it('starts pty-host as the first process, without a shell, by a signal it hears, as nobody’s root', () => {
    expect(of('ENTRYPOINT')).toEqual(['["node", "/app/runner-image/src/pty-host/main.ts"]']);
    expect(of('CMD')).toEqual([]);
    expect(of('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(of('USER')).toEqual(['10001:10001']);
    expect(of('HEALTHCHECK')).toHaveLength(1);
  });

  it('names no secret and nothing that belongs to one session', () => {
    const names = [...of('ARG'), ...of('ENV')].flatMap((line) =>
      [...line.matchAll(/(?:^|\s)([A-Z_]+)(?==|$)/g)].map(([, name = '']) => name),
    );
    expect(names).toEqual(expect.arrayContaining(['BASE_IMAGE', 'CLIS', 'VILLAGE_BUILD_DIR']));
    expect(names.filter((name) => /TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY|CONTROL_PLANE|DSN/.test(name))).toEqual([]);
  });

  it('sets only variables that the runner reads, besides those of Node and the system', () => {
    const set = of('ENV').flatMap((line) => [...line.matchAll(/([A-Z_]+)=/g)].map(([, name = '']) => name));
    const system = ['NODE_ENV', 'LANG', 'HOME'];
    expect(set.filter((name) => !system.includes(name) && !(name in RUNNER_SETTINGS))).toEqual([]);
  });

  it('writes nowhere but to its volumes, where the task definition mounts what is writable', () => {
    expect(of('VOLUME')).toEqual(['["/village", "/tmp"]']);
    expect(of('ENV').join(' ')).toMatch(/ WORKSPACE_ROOT=\/village /);
  });

  it('copies only what its ignore file lets through', () => {
    const ignore = read('runner-image/Dockerfile.dockerignore').split('\n');
    expect(ignore.find((line) => line !== '' && !line.startsWith('#'))).toBe('**');
    const allowed = ignore.filter((line) => line.startsWith('!')).map((line) => line.slice(1).replace('/**', ''));
    for (const file of files()) {
      expect(globSync(file, { cwd: ROOT }), file).toHaveLength(1);
      expect(
        allowed.some((path) => file === path || file.startsWith(`${path}/`)),
        file,
      ).toBe(true);
    }
    for (const path of allowed)
      expect(
        files().some((file) => file === path || file.startsWith(`${path}/`)),
        path,
      ).toBe(true);
  });

  it('keeps sources out of node_modules, where Node strips no types', () => {
    const targets = of('COPY').filter((line) => /runner-image\/src|shared/.test(line));
    expect(targets.length).toBeGreaterThan(0);
    for (const line of targets) expect(line.split(/\s+/).at(-1)).not.toContain('node_modules');
  });
});
