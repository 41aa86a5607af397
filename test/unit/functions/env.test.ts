import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ControlPlaneEnv, parseEnv } from '../../../functions/env.ts';
import { TABLES } from '../../../infra/topology.ts';
import { handlerEnvironment } from '../../../local/village/handler-environment.ts';

const at = { dynamodb: 'http://a', s3: 'http://b', ecs: 'http://c', secrets: 'http://d', publicUrl: 'http://e' };
const management = { viewer: 'http://f/viewer', runner: 'http://f/runner' };
const given = handlerEnvironment({ accessKeyId: 'a', secretAccessKey: 'b' }, { ...at, management }, '1.2.3');

test('what the local platform gives is what the control plane reads', () => {
  const env = parseEnv(given);
  expect(env).toMatchObject({ VILLAGE_VERSION: '1.2.3', REQUIRE_ORIGIN_SECRET: false, CANARY_ENABLED: false });
  expect(Object.keys(env).filter((name) => name.startsWith('TABLE_'))).toHaveLength(TABLES.length);
});

test('the edge is required unless it is said not to be', () => {
  const { REQUIRE_ORIGIN_SECRET: _left, ...rest } = given;
  expect(parseEnv(rest).REQUIRE_ORIGIN_SECRET).toBe(true);
});

test('what is missing or does not fit is named, every one', () => {
  const odd = { ...given, TABLE_USAGE: undefined, PUBLIC_URL: 'nowhere', ROLLOUT_PERCENTAGE: '101' };
  expect(() => parseEnv(odd)).toThrow(/TABLE_USAGE: .*PUBLIC_URL: .*ROLLOUT_PERCENTAGE: /);
});

test('is documented in one table that names exactly its variables and their defaults', () => {
  const text = readFileSync(new URL('../../../docs/developer/configuration.md', import.meta.url), 'utf8');
  const [, ofControlPlane = ''] = text.split('\n## The control plane');
  const rows = [...ofControlPlane.matchAll(/^\| `([A-Z_]+)` \| (.+) \| (.+) \|$/gm)];
  const defaultOf = (schema: { safeParse(value: unknown): { success: boolean; data?: unknown } }) => {
    const parsed = schema.safeParse(undefined);
    if (!parsed.success) return '**required**';
    return parsed.data === undefined ? 'none' : `\`${parsed.data}\``;
  };
  expect(rows.map(([, name, value]) => [name, value])).toEqual(
    Object.entries(ControlPlaneEnv.shape).map(([name, schema]) => [name, defaultOf(schema)]),
  );
  const unused = rows.filter(([line]) => line.endsWith('; parsed now, used by the release pipeline later. |'));
  expect(unused.map(([, name]) => name)).toEqual(['VERSION_CHECK_INTERVAL_MS', 'CANARY_ENABLED', 'ROLLOUT_PERCENTAGE']);
});
