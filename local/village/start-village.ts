/** Puts the topology into motion on this machine: each part in a named step, stopped in reverse. */
import { ECSClient } from '@aws-sdk/client-ecs';
import { z } from 'zod';
import {
  BOOTSTRAP_FUNCTION,
  HTTP_ROUTES,
  SCHEDULES,
  WARM_POOL_SCHEDULE,
  WEBSOCKET_APIS,
} from '../../infra/topology.ts';
import { startGateway } from '../gateway/server.ts';
import { REGION } from '../lambda/identity.ts';
import { runSchedules } from '../lambda/schedules.ts';
import type { Lambda } from '../lambda/types.ts';
import { Builds } from './builds.ts';
import { removeEndpointFile, writeEndpointFile } from './endpoint-file.ts';
import { handlerEnvironment, LOCAL_TENANT, originsOf } from './handler-environment.ts';
import { createLocalRoutes } from './local-routes.ts';
import { buildPage, pageDirOf } from './page-build.ts';
import { type Parts, prepare, type VillageContext } from './parts.ts';
import { villageVersion } from './paths.ts';
import { startLambda, startTasks } from './start-compute.ts';
import { startDatabase, startObjects, startSecretStore, startTables, TABLE_SPECS } from './start-stores.ts';
import { startStreams, startSweeper } from './triggers.ts';

export interface RunningVillage {
  readonly url: string;
  readonly signInUrl: string;
}

const USER = 'me';
/** What a runner may take to store its session when the village stops; what is still there is killed, and goes on from what is stored. */
const SESSIONS_DRAIN_MS = 15_000;
const Bootstrap = z.object({ signInCode: z.string(), token: z.string() });

const preparePage = async ({ series, clock, warn }: Parts): Promise<string | undefined> => {
  const page = await series.step('page', () => buildPage(clock));
  if (page.kind !== 'failed') return pageDirOf();
  warn(
    `The page could not be built; ${page.usable ? 'an older one is shown' : 'API and command line work'}:\n${page.output}`,
  );
  return page.usable ? pageDirOf() : undefined;
};

/** Calls the control plane over its own front door, as the local user. */
const apiOf =
  (url: string, token: string) =>
  async (method: 'GET' | 'POST', path: string, body?: unknown): Promise<unknown> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(`${url}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };

const bootstrap = async (lambda: Lambda, hasModelKey: boolean) => {
  const request = { tenantId: LOCAL_TENANT, userId: USER, modelVendors: hasModelKey ? ['anthropic'] : [] };
  const result = await lambda.invoke(BOOTSTRAP_FUNCTION, request, { source: 'event' });
  if (!result.ok) throw new Error(`the first user could not be made: ${result.message}`);
  return Bootstrap.parse(result.payload);
};

const startBuilds = async (parts: Parts, ecsEndpoint: string, url: string, token: string): Promise<Builds> => {
  const { series, paths, credentials, env, warn } = parts;
  const client = new ECSClient({ endpoint: ecsEndpoint, region: REGION, credentials });
  const builds = new Builds({
    dir: paths.builds,
    workspaceRoot: paths.runner,
    runnerVersion: villageVersion(),
    ...(env.VILLAGE_RUNNER_IMAGE ? { image: env.VILLAGE_RUNNER_IMAGE } : {}),
    ecs: client,
    api: apiOf(url, token),
  });
  await series.step(
    'builds',
    async () => {
      for (const result of await builds.refresh(() => {})) if (result.kind === 'failed') warn(result.message);
    },
    () => client.destroy(),
  );
  return builds;
};

interface Backend {
  readonly lambda: Lambda;
  readonly dynamodb: string;
  readonly secrets: string;
  readonly ecs: string;
  readonly objects: Awaited<ReturnType<typeof startObjects>>;
}

/** The front door; the handlers' environment is complete once its addresses are known. */
const openGateway = async (parts: Parts, backend: Backend, routes: ReturnType<typeof createLocalRoutes>) => {
  const { options, series, chaos, log, env, credentials } = parts;
  const pageDir = await preparePage(parts);
  const gateway = await series.step(
    'gateway',
    () =>
      startGateway({
        port: options.port,
        httpRoutes: HTTP_ROUTES,
        webSocketApis: WEBSOCKET_APIS,
        lambda: backend.lambda,
        caller: { ...credentials, region: REGION },
        ...(pageDir === undefined ? {} : { pageDir }),
        connectOrigins: [backend.objects.endpoint],
        platformRoutes: routes,
        chaos,
        log,
      }),
    (running) => running.stop(),
  );
  const endpoints = {
    dynamodb: backend.dynamodb,
    s3: backend.objects.endpoint,
    ecs: backend.ecs,
    secrets: backend.secrets,
    publicUrl: gateway.url,
    management: gateway.managementEndpoints,
  };
  Object.assign(env, handlerEnvironment(credentials, endpoints, villageVersion(), options.warmPoolSize));
  backend.objects.setAllowedOrigins(originsOf(gateway.url));
  return gateway;
};

/** Starts everything; on any failure the caller stops the series. Throws VillageError for what a person can change. */
export const startVillage = async (context: VillageContext): Promise<RunningVillage> => {
  const parts = await prepare(context);
  const { series, paths, clock, random, warn, env, log } = parts;
  const dynamodb = await startDatabase(parts);
  const tables = await startTables(parts, dynamodb);
  const secrets = await startSecretStore(parts);
  const objects = await startObjects(parts);
  const lambda = await startLambda(parts);
  const { bus, ecs } = await startTasks(parts, lambda);
  let token: string | undefined;
  let builds: Builds | undefined;
  const routes = createLocalRoutes({
    token: () => token,
    addBuild: (spec, onProgress) => {
      if (builds === undefined) throw new Error('builds are not ready yet');
      return builds.add(spec, onProgress);
    },
    warn,
  });
  const backend = { lambda, dynamodb, secrets: secrets.endpoint, ecs: ecs.endpoint, objects };
  const { url } = await openGateway(parts, backend, routes);
  const first = await series.step('first user', () => bootstrap(lambda, Boolean(env.ANTHROPIC_API_KEY)));
  builds = await startBuilds(parts, ecs.endpoint, url, first.token);
  token = first.token;
  bus.open();
  // Started after all that giving a session back goes through, so stopped before it. What takes sessions on (streams, schedules) is
  // started later still: nothing is raised any more while the runners leave.
  await series.step(
    'sessions',
    () => {},
    async () => {
      const { ended, left } = await ecs.drain(SESSIONS_DRAIN_MS);
      if (ended + left > 0)
        warn(`${ended} of ${ended + left} runners stopped in order; their sessions go on at the next start`);
    },
  );
  const running = await series.step(
    'streams and schedules',
    () => ({
      streams: startStreams(tables.streams, lambda, paths.streams, warn),
      schedules: runSchedules(SCHEDULES, { lambda, clock, random, log }),
      sweeper: startSweeper(tables.client, TABLE_SPECS, clock, warn),
    }),
    async ({ streams, schedules, sweeper }) => {
      await Promise.all([streams.stop(), schedules.stop(), sweeper.stop()]);
    },
  );
  /** Not only after its first minute; what goes wrong is logged, as in any run. */
  if (context.options.warmPoolSize > 0) void running.schedules.fire(WARM_POOL_SCHEDULE);
  await series.step(
    'endpoint file',
    () => writeEndpointFile(paths.endpoint, { url, token: first.token }),
    () => removeEndpointFile(paths.endpoint),
  );
  return { url, signInUrl: `${url}/signin#${first.signInCode}` };
};
