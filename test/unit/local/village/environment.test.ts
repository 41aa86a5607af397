import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseEnv } from '../../../../functions/env.ts';
import { BUCKETS, SECRETS, TABLES } from '../../../../infra/topology.ts';
import { requireFreePort, requireNode } from '../../../../local/village/checks.ts';
import { handlerEnvironment, loadEnvironment } from '../../../../local/village/handler-environment.ts';
import { isPageStale } from '../../../../local/village/page-build.ts';

it('gives handlers everything they parse, and endpoints that stay on this machine', () => {
  const environment = {
    ...loadEnvironment('WARN'),
    ...handlerEnvironment(
      { accessKeyId: 'a', secretAccessKey: 's' },
      {
        dynamodb: 'http://127.0.0.1:1',
        s3: 'http://127.0.0.1:2',
        ecs: 'http://127.0.0.1:3',
        secrets: 'http://127.0.0.1:4',
        publicUrl: 'http://127.0.0.1:4310',
        management: { viewer: 'http://127.0.0.1:5/viewer/live', runner: 'http://127.0.0.1:5/runner/live' },
      },
      '1.0.0',
    ),
  };
  const parsed = parseEnv(environment);
  expect(parsed.ALLOWED_ORIGINS).toEqual(['http://127.0.0.1:4310', 'http://localhost:4310']);
  expect(parsed.REQUIRE_ORIGIN_SECRET).toBe(false);
  expect(parsed.MANAGEMENT_ENDPOINT_RUNNER).toContain('/runner/');
  const names = Object.keys(environment);
  for (const { name } of TABLES) expect(names).toContain(`TABLE_${name.toUpperCase()}`);
  expect(names.filter((name) => name.startsWith('BUCKET_'))).toHaveLength(BUCKETS.length);
  expect(names.filter((name) => name.startsWith('SECRET_'))).toHaveLength(SECRETS.length);
  for (const [name, value] of Object.entries(environment))
    if (name.startsWith('AWS_ENDPOINT_URL')) expect(new URL(value).hostname).toBe('127.0.0.1');
  expect(environment.AWS_ENDPOINT_URL).toBe('http://127.0.0.1:9');
});

it('builds the page when it is missing or older than its sources', () => {
  const root = mkdtempSync(join(tmpdir(), 'village-page-'));
  mkdirSync(join(root, 'web/src/deep'), { recursive: true });
  mkdirSync(join(root, 'web/dist'));
  const touch = (path: string, atSec: number) => {
    writeFileSync(join(root, path), '');
    utimesSync(join(root, path), atSec, atSec);
  };
  touch('web/src/deep/a.tsx', 1_000);
  expect(isPageStale(root)).toBe(true);
  touch('web/dist/index.html', 2_000);
  expect(isPageStale(root)).toBe(false);
  touch('web/src/deep/a.tsx', 3_000);
  expect(isPageStale(root)).toBe(true);
  rmSync(root, { recursive: true });
});

it('refuses a Node that is too old and a port that is taken, each with what to do', async () => {
  expect(() => requireNode('20.20.2')).toThrow('npm ci');
  expect(() => requireNode('24.0.0')).not.toThrow();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await expect(requireFreePort(port)).rejects.toThrow('--port');
  await new Promise((resolve) => server.close(resolve));
  await expect(requireFreePort(port)).resolves.toBeUndefined();
});
