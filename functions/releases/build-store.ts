/** Builds that sessions can run on: a runner image and pinned CLIs, one task-definition revision. */
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import { ProviderId } from '../../shared/providers.ts';
import { Build, CliVersion } from '../../shared/releases.ts';
import { type Database, queryAll } from '../database.ts';

const BUILDS_MAX = 2_000;
const PARTITION = 'PLATFORM#BUILDS';

export interface BuildStore {
  get(buildId: string): Promise<Build | null>;
  /** Newest first. */
  list(): Promise<Build[]>;
  put(build: Build): Promise<void>;
}

export const buildStore = (db: Database): BuildStore => ({
  get: async (buildId) => {
    const item = await db.get('releases', { pk: PARTITION, sk: `BUILD#${buildId}` });
    return item === null ? null : Build.parse(item.build);
  },
  list: async () => {
    const items = await queryAll(
      db,
      { table: 'releases', partition: PARTITION, sort: { beginsWith: 'BUILD#' } },
      BUILDS_MAX,
    );
    return items.map((item) => Build.parse(item.build)).sort((a, b) => b.createdAt.localeCompare(a.createdAt));
  },
  put: async (build) => {
    await db.write({ kind: 'put', table: 'releases', item: { pk: PARTITION, sk: `BUILD#${build.buildId}`, build } });
  },
});

/** @throws AppError `invalid_request` when the specification names an unknown provider or what is no version */
export const registerBuild = async (
  { builds, clock }: { builds: BuildStore; clock: Clock },
  request: { buildId: string; spec: string; taskDefinitionArn: string; runnerVersion: string },
): Promise<Build> => {
  const clis: Build['clis'] = {};
  for (const part of request.spec.split(',')) {
    const [name = '', version = ''] = part.split('@');
    const provider = ProviderId.safeParse(name);
    if (!provider.success)
      throw new AppError(
        'invalid_request',
        `Unknown provider "${name}": use one of ${ProviderId.options.join(', ')}.`,
        { path: 'spec' },
      );
    const parsed = CliVersion.safeParse(version);
    if (!parsed.success || clis[provider.data] !== undefined)
      throw new AppError('invalid_request', `"${part}" is no version of ${name}, or names it twice.`, { path: 'spec' });
    clis[provider.data] = parsed.data;
  }
  const build: Build = {
    buildId: request.buildId,
    clis,
    runnerVersion: request.runnerVersion,
    taskDefinitionArn: request.taskDefinitionArn,
    status: 'ready',
    createdAt: new Date(clock.nowMs()).toISOString(),
  };
  await builds.put(build);
  return build;
};

/**
 * The build a session will run on, for its whole life.
 * @throws AppError `build_unavailable` with what to do
 */
export const chooseBuild = async (
  builds: BuildStore,
  provider: ProviderId,
  wanted: string | undefined,
): Promise<Build> => {
  if (wanted !== undefined) {
    const build = await builds.get(wanted);
    if (build === null || build.status !== 'ready')
      throw new AppError(
        'build_unavailable',
        `There is no ready build "${wanted}": \`npx village builds list\` shows those there are.`,
        { path: 'buildId' },
      );
    if (build.clis[provider] === undefined)
      throw new AppError('build_unavailable', `Build "${wanted}" has no ${provider}: name another, or leave it out.`, {
        path: 'buildId',
      });
    return build;
  }
  const newest = (await builds.list()).find((build) => build.status === 'ready' && build.clis[provider] !== undefined);
  if (newest === undefined)
    throw new AppError(
      'build_unavailable',
      `No build has ${provider} yet: add one with \`npx village builds add ${provider}@<version>\`.`,
      { path: 'provider' },
    );
  return newest;
};
