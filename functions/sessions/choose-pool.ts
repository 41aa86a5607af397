/** What a start runs on: a build of the platform, or a group of the tenant's own runners, which bring their builds themselves. */
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type { StartSessionBody } from '../../shared/http.ts';
import type { Build } from '../../shared/releases.ts';
import { HOSTED_POOL } from '../../shared/session.ts';
import type { Database } from '../database.ts';
import { type BuildStore, chooseBuild } from '../releases/build-store.ts';
import { canCome, type Host, listHosts } from '../runners/host-store.ts';

export interface PoolPorts {
  readonly db: Database;
  readonly builds: BuildStore;
  readonly clock: Clock;
}

/** Until a runner is claimed, and says what it is. */
const OWN_BUILD = { buildId: 'customer', clis: {}, taskDefinitionArn: '' } as const;
export type Chosen = Pick<Build, 'buildId' | 'clis' | 'taskDefinitionArn'>;

const clisOf = (hosts: readonly Host[]): string[] =>
  [...new Set(hosts.flatMap(({ clis }) => Object.entries(clis).map(([cli, version]) => `${cli}@${version}`)))].sort();

const checkGroup = (hosts: readonly Host[], { pool, provider, buildId }: StartSessionBody, nowMs: number): void => {
  const serving = hosts.filter((host) => canCome(host, nowMs));
  const groups = [...new Set(serving.map(({ group }) => group))].sort();
  if (!groups.includes(pool))
    throw new AppError(
      'no_such_pool',
      `There is no pool "${pool}": use one of ${[HOSTED_POOL, ...groups].join(', ')}, or register a runner with \`village runners register --group ${pool}\`.`,
      { path: 'pool' },
    );
  if (buildId !== undefined)
    throw new AppError('invalid_request', 'Runners of your own bring their build: leave buildId out.', {
      path: 'buildId',
    });
  /** Who has not connected yet may still bring it. */
  const members = serving.filter(({ group }) => group === pool);
  const isPossible = members.some((host) => host.lastSeenMs === null || host.clis[provider] !== undefined);
  if (!isPossible)
    throw new AppError(
      'provider_unavailable',
      `No runner of "${pool}" has ${provider}: install it on one of them and start that again. They have ${clisOf(members).join(', ') || 'no CLI'}.`,
      { path: 'provider' },
    );
};

/** @throws AppError `no_such_pool`, `provider_unavailable`, `build_unavailable`, `invalid_request` */
export const choosePool = async (ports: PoolPorts, tenantId: string, body: StartSessionBody): Promise<Chosen> => {
  if (body.pool === HOSTED_POOL) return chooseBuild(ports.builds, body.provider, body.buildId);
  const nowMs = ports.clock.nowMs();
  checkGroup(await listHosts(ports.db, tenantId, nowMs), body, nowMs);
  return OWN_BUILD;
};
