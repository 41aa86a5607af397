import { mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DescribeTaskDefinitionCommand, ECSClient } from '@aws-sdk/client-ecs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startEcs } from '../../../../local/ecs/server.ts';
import { Builds, buildIdOf, specOf } from '../../../../local/village/builds.ts';
import { RegisterBuildBody } from '../../../../shared/http.ts';
import { Build } from '../../../../shared/releases.ts';

const CREDENTIALS = { accessKeyId: 'a', secretAccessKey: 's' };

let root: string;
let ecs: Awaited<ReturnType<typeof startEcs>>;
let client: ECSClient;
/** What the control plane would hold. */
let registered: Build[];
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'village-builds-'));
  registered = [];
  ecs = await startEcs({
    dir: join(root, 'ecs'),
    region: 'r',
    credentials: CREDENTIALS,
    cluster: 'village',
    launcher: { launch: () => ({ stop() {}, kill() {} }), cleanUp() {}, forget() {} },
    emit: () => {},
  });
  client = new ECSClient({ endpoint: ecs.endpoint, region: 'r', credentials: CREDENTIALS });
});
afterEach(async () => {
  client.destroy();
  await ecs.stop();
  rmSync(root, { recursive: true, force: true });
});

const api = async (method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> => {
  expect(path).toBe('/api/builds');
  if (method === 'GET') return { builds: registered };
  const { buildId, spec, taskDefinitionArn, runnerVersion } = RegisterBuildBody.parse(body);
  const clis = Object.fromEntries(spec.split(',').map((part) => part.split('@')));
  const build = Build.parse({
    buildId,
    clis,
    taskDefinitionArn,
    runnerVersion,
    status: 'ready',
    createdAt: '2026-01-01T00:00:00.000Z',
  });
  registered = [build, ...registered.filter((known) => known.buildId !== buildId)];
  return build;
};
const open = (over: Partial<ConstructorParameters<typeof Builds>[0]> = {}) =>
  new Builds({
    dir: join(root, 'builds'),
    workspaceRoot: join(root, 'runner'),
    runnerVersion: '1.2.3',
    ecs: client,
    api,
    install: async ({ provider, version, onProgress }) => {
      if (version === '0.0.0') return { kind: 'failed', code: 'unknown_version', message: `npm has no ${provider}` };
      onProgress?.(`${provider} is there`);
      return { kind: 'installed', binPath: `/cache/${provider}@${version}/node_modules/.bin/cli`, downloaded: false };
    },
    ...over,
  });
const environmentOf = async (build: Build) => {
  const { taskDefinition } = await client.send(
    new DescribeTaskDefinitionCommand({ taskDefinition: build.taskDefinitionArn }),
  );
  const pairs = taskDefinition?.containerDefinitions?.[0]?.environment ?? [];
  return Object.fromEntries(pairs.map(({ name, value }) => [name, value]));
};

it('installs, registers a revision that names the build, and tells the control plane', async () => {
  const lines: string[] = [];
  const added = await open().add('claude_code@2.1.330', (line) => lines.push(line));
  expect(lines).toEqual(['claude_code is there']);
  if (added.kind !== 'added') throw new Error(added.message);
  expect(added.build).toMatchObject({
    buildId: 'claude_code-2.1.330',
    clis: { claude_code: '2.1.330' },
    runnerVersion: '1.2.3',
  });
  const dir = join(root, 'builds', 'claude_code-2.1.330');
  expect(await environmentOf(added.build)).toMatchObject({
    WORKSPACE_ROOT: join(root, 'runner'),
    VILLAGE_BUILD_ID: 'claude_code-2.1.330',
    VILLAGE_BUILD_DIR: dir,
    CLAUDE_CODE_PATH: '/cache/claude_code@2.1.330/node_modules/.bin/cli',
    RUNNER_VERSION: '1.2.3',
  });
  expect(readlinkSync(join(dir, 'claude_code'))).toBe('/cache/claude_code@2.1.330');
});

it('registers a revision again only where something changed', async () => {
  const first = await open().add('shell@system', () => {});
  const second = await open().add('shell@system', () => {});
  expect(second).toEqual(first);
  const moved = await open({ workspaceRoot: '/elsewhere' }).add('shell@system', () => {});
  if (first.kind !== 'added' || moved.kind !== 'added') throw new Error('not added');
  expect(moved.build.taskDefinitionArn).not.toBe(first.build.taskDefinitionArn);
  expect(await environmentOf(moved.build)).toMatchObject({ WORKSPACE_ROOT: '/elsewhere' });
});

it('brings all known builds up to date, and the shell from the first day', async () => {
  await open().refresh(() => {});
  expect(registered.map(({ buildId }) => buildId)).toEqual(['shell-system']);
  await open().add('claude_code@2.1.330', () => {});
  await open({ runnerVersion: '2.0.0' }).refresh(() => {});
  expect(new Set(registered.map(({ runnerVersion }) => runnerVersion))).toEqual(new Set(['2.0.0']));
});

it('registers nothing when a CLI cannot be installed', async () => {
  const result = await open().add('claude_code@0.0.0', () => {});
  expect(result).toEqual({ kind: 'failed', code: 'not_found', message: 'npm has no claude_code' });
  expect(await open().add('nonsense@1.0.0', () => {})).toMatchObject({ code: 'invalid_request' });
  expect(registered).toEqual([]);
});

it('names a build after its spec, and finds the spec again', () => {
  expect(buildIdOf('claude_code@2.1.330,shell@system')).toBe('claude_code-2.1.330+shell-system');
  const build = { clis: { claude_code: '1.0.0', shell: 'system' } };
  expect(
    specOf(
      Build.parse({
        buildId: 'b',
        runnerVersion: '',
        taskDefinitionArn: '',
        status: 'ready',
        createdAt: '2026-01-01T00:00:00Z',
        ...build,
      }),
    ),
  ).toBe('claude_code@1.0.0,shell@system');
});

it('with an image names it in the revision, and leaves CLIs and folders to it', async () => {
  const added = await open({ image: 'localhost/runner:1' }).add('claude_code@0.0.0', () => {});
  if (added.kind !== 'added') throw new Error(added.message);
  const { taskDefinition } = await client.send(
    new DescribeTaskDefinitionCommand({ taskDefinition: added.build.taskDefinitionArn }),
  );
  expect(taskDefinition?.containerDefinitions?.[0]?.image).toBe('localhost/runner:1');
  const environment = await environmentOf(added.build);
  expect(environment).toMatchObject({ WORKSPACE_ROOT: '/village', VILLAGE_BUILD_ID: 'claude_code-0.0.0' });
  expect(JSON.stringify(environment)).not.toContain(root);
  // Back on the sources it is another definition.
  expect(await open().add('claude_code@0.0.0', () => {})).toMatchObject({ kind: 'failed' });
});
