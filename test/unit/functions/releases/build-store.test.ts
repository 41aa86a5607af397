import { beforeEach, describe, expect, test } from 'vitest';
import { buildStore, chooseBuild, registerBuild } from '../../../../functions/releases/build-store.ts';
import { BuildSpec } from '../../../../shared/releases.ts';
import { TestClock } from '../../../fakes/control-plane-ports.ts';
import { MemoryDatabase } from '../../../fakes/memory-database.ts';

describe('builds', () => {
  let clock: TestClock;
  let builds: ReturnType<typeof buildStore>;
  const register = (buildId: string, spec: string) => {
    clock.advance(1_000);
    return registerBuild({ builds, clock }, { buildId, spec, taskDefinitionArn: `arn:${buildId}`, runnerVersion: '1' });
  };
  beforeEach(() => {
    clock = new TestClock();
    builds = buildStore(new MemoryDatabase());
  });

  test('are listed newest first', async () => {
    await register('one', 'shell@5.2');
    await register('two', 'claude_code@2.1.330,shell@5.2');
    expect((await builds.list()).map(({ buildId }) => buildId)).toEqual(['two', 'one']);
    expect(await builds.get('two')).toMatchObject({ clis: { claude_code: '2.1.330', shell: '5.2' }, status: 'ready' });
    expect(await builds.get('three')).toBeNull();
  });

  test.each(['cursor@1.0', 'claude_code@-1', 'claude_code@.5', `shell@${'1'.repeat(62)}`, 'shell@1,shell@2'])(
    '%s is refused, and the builds there are still list',
    async (spec) => {
      await register('one', 'shell@5.2');
      expect(BuildSpec.safeParse(spec).success).toBe(true);
      await expect(register('two', spec)).rejects.toMatchObject({ code: 'invalid_request', path: 'spec' });
      expect(await builds.list()).toHaveLength(1);
    },
  );

  test('the newest ready build with the provider is chosen', async () => {
    await register('old', 'shell@5.1');
    await register('wanted', 'shell@5.2,claude_code@1.0.0');
    await register('other', 'claude_code@2.0.0');
    const broken = await register('broken', 'shell@5.3');
    await builds.put({ ...broken, status: 'broken' });
    expect((await chooseBuild(builds, 'shell', undefined)).buildId).toBe('wanted');
    expect((await chooseBuild(builds, 'shell', 'old')).buildId).toBe('old');
    await expect(chooseBuild(builds, 'shell', 'broken')).rejects.toMatchObject({ path: 'buildId' });
    await expect(chooseBuild(builds, 'shell', 'none')).rejects.toMatchObject({ code: 'build_unavailable' });
    await expect(chooseBuild(builds, 'shell', 'other')).rejects.toThrow('has no shell');
    await expect(chooseBuild(builds, 'codex', undefined)).rejects.toMatchObject({
      code: 'build_unavailable',
      path: 'provider',
    });
  });
});
