/** Puts the topology into motion on this machine: each part in a named step, stopped in reverse. */
import { mkdirSync } from 'node:fs';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBStreamsClient } from '@aws-sdk/client-dynamodb-streams';
import { ECSClient } from '@aws-sdk/client-ecs';
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { z } from 'zod';
import {
  BOOTSTRAP_FUNCTION,
  BUCKETS,
  EVENT_RULES,
  FUNCTIONS,
  HTTP_ROUTES,
  SCHEDULES,
  SECRETS,
  TABLES,
  WEBSOCKET_APIS,
} from '../../infra/topology.ts';
import { type Clock, type Random, systemClock, systemRandom } from '../../shared/clock.ts';
import { type Chaos, createChaos } from '../chaos.ts';
import { startDynamodb } from '../dynamodb/dynoxide.ts';
import { ensureTables } from '../dynamodb/ensure-tables.ts';
import { EcsError } from '../ecs/ecs-error.ts';
import { processLauncher } from '../ecs/process-launcher.ts';
import { startEcs } from '../ecs/server.ts';
import { createEventBus } from '../events/event-bus.ts';
import { startGateway } from '../gateway/server.ts';
import { entryLoader } from '../lambda/entry-loader.ts';
import { ACCOUNT_ID, REGION } from '../lambda/identity.ts';
import { createLambda } from '../lambda/lambda.ts';
import { runSchedules } from '../lambda/schedules.ts';
import type { Lambda, PlatformLog } from '../lambda/types.ts';
import { startS3 } from '../s3/server.ts';
import { startSecrets } from '../secrets/server.ts';
import { Builds } from './builds.ts';
import { requireFreePort, requireNode } from './checks.ts';
import { removeEndpointFile, writeEndpointFile } from './endpoint-file.ts';
import {
  bucketName,
  CLUSTER,
  type Credentials,
  handlerEnvironment,
  loadEnvironment,
  originsOf,
  secretName,
  tableName,
} from './handler-environment.ts';
import { createLocalRoutes } from './local-routes.ts';
import { takeLock } from './lock.ts';
import type { VillageOptions } from './options.ts';
import { buildPage, pageDirOf } from './page-build.ts';
import { type Paths, pathsOf, ROOT, taskPath, villageVersion } from './paths.ts';
import type { Series } from './series.ts';
import { startStreams, startSweeper } from './triggers.ts';
import { VillageError } from './village-error.ts';

export interface VillageContext {
  readonly options: VillageOptions;
  readonly series: Series;
  /** The environment of this process; handlers' variables are written into it. */
  readonly env: NodeJS.ProcessEnv;
  readonly warn: (line: string) => void;
  /** Told when a part ends that should not. */
  readonly onLost: (what: string) => void;
}
export interface RunningVillage {
  readonly url: string;
  readonly signInUrl: string;
}

const TENANT = 'local';
const USER = 'me';
const SECRET_BYTES = 32;
const TABLE_SPECS = TABLES.map((table) => ({ ...table, name: tableName(table.name) }));
const Bootstrap = z.object({ signInCode: z.string(), token: z.string() });

interface Parts extends VillageContext {
  readonly paths: Paths;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly random: Random;
  readonly chaos: Chaos;
  readonly log: PlatformLog;
}

const LOGGED_FIELDS = ['function', 'source', 'schedule', 'errorType', 'path'];

/** Of a failure's fields only those without payload: events carry tokens. */
const platformLog =
  (warn: (line: string) => void): PlatformLog =>
  (message, fields) => {
    const shown = LOGGED_FIELDS.flatMap((name) => (fields[name] === undefined ? [] : [`${name}=${fields[name]}`]));
    const { error } = fields;
    const why = error === undefined ? '' : `: ${error instanceof Error ? error.stack : String(error)}`;
    warn(`${message} ${shown.join(' ')}${why}`);
  };

const startDatabase = async ({ options, series, paths, clock, onLost }: Parts): Promise<string> => {
  if (options.dynamodbEndpoint !== undefined) return options.dynamodbEndpoint;
  let isStopping = false;
  const started = await series.step(
    'database',
    () => startDynamodb({ dir: paths.dynamodb, clock }),
    async (result) => {
      isStopping = true;
      if (result.ok) await result.dynamodb.stop();
    },
  );
  if (!started.ok) throw new VillageError(started.message);
  void started.dynamodb.exited.then(() => {
    if (!isStopping) onLost('the embedded DynamoDB ended');
  });
  return started.dynamodb.endpoint;
};

const startTables = async ({ series, credentials, clock }: Parts, endpoint: string) => {
  const config = { endpoint, region: REGION, credentials };
  const client = new DynamoDBClient(config);
  const streams = new DynamoDBStreamsClient(config);
  await series.step(
    'tables',
    async () => {
      try {
        await ensureTables(client, TABLE_SPECS, clock);
      } catch (error) {
        throw new VillageError(
          `The tables at ${endpoint} cannot be prepared: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    },
    () => {
      client.destroy();
      streams.destroy();
    },
  );
  return { client, streams };
};

const startSecretStore = async ({ series, paths, credentials, clock, random, env, warn }: Parts) => {
  const options = { file: paths.secrets, region: REGION, now: () => clock.nowMs(), ...credentials, warn };
  const secrets = await series.step(
    'secrets',
    () => startSecrets(options),
    (running) => running.stop(),
  );
  for (const { name, generated } of SECRETS)
    await secrets.ensure(secretName(name), () => (generated ? random.hex(SECRET_BYTES) : '{}'));
  const client = new SecretsManagerClient({ endpoint: secrets.endpoint, region: REGION, credentials });
  const keys = env.ANTHROPIC_API_KEY ? { anthropic: env.ANTHROPIC_API_KEY } : {};
  await client.send(
    new PutSecretValueCommand({ SecretId: secretName('model-keys'), SecretString: JSON.stringify(keys) }),
  );
  client.destroy();
  return secrets;
};

const startObjects = ({ series, paths, credentials, clock, warn }: Parts) =>
  series.step(
    'objects',
    () =>
      startS3({
        dir: paths.s3,
        region: REGION,
        now: () => clock.nowMs(),
        ...credentials,
        // Set once the page's own address is known.
        allowedOrigins: [],
        buckets: BUCKETS.map(({ name }) => bucketName(name)),
        warn,
      }),
    (running) => running.stop(),
  );

const startLambda = ({ series, clock, random, chaos, log }: Parts) =>
  series.step(
    'functions',
    async () => {
      const load = entryLoader(ROOT);
      // Loaded ahead: a broken entry shows at the start, and no first request waits for it.
      await Promise.all(FUNCTIONS.map(({ entry }) => load(entry)));
      return createLambda({ functions: FUNCTIONS, load, clock, random, chaos, log });
    },
    (lambda) => lambda.stop(),
  );

const startTasks = async (parts: Parts, lambda: Lambda) => {
  const { series, paths, credentials, clock, chaos, env, warn } = parts;
  const bus = await series.step(
    'event bus',
    () =>
      createEventBus({
        rules: EVENT_RULES,
        invoke: (name, event) => lambda.invokeAsync(name, event, { source: 'event' }),
        clock,
        warn,
      }),
    (running) => running.stop(),
  );
  const launcher = processLauncher({
    command: [process.execPath, 'runner-image/src/pty-host/main.ts'],
    cwd: ROOT,
    path: taskPath(env),
    dir: paths.tasks,
    clock,
  });
  const ecs = await series.step(
    'tasks',
    () =>
      startEcs({
        dir: paths.ecs,
        region: REGION,
        credentials,
        account: ACCOUNT_ID,
        cluster: CLUSTER,
        launcher,
        emit: (event) => bus.put(event),
        refuse: (operation) =>
          chaos.strikes('throttle', `ecs/${operation}`)
            ? new EcsError('ThrottlingException', 'Rate exceeded')
            : undefined,
        warn,
      }),
    (running) => running.stop(),
  );
  return { bus, ecs };
};

const preparePage = async ({ series, warn }: Parts): Promise<string | undefined> => {
  const page = await series.step('page', () => buildPage());
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
  const request = { tenantId: TENANT, userId: USER, modelVendors: hasModelKey ? ['anthropic'] : [] };
  const result = await lambda.invoke(BOOTSTRAP_FUNCTION, request, { source: 'event' });
  if (!result.ok) throw new Error(`the first user could not be made: ${result.message}`);
  return Bootstrap.parse(result.payload);
};

const startBuilds = async (parts: Parts, ecsEndpoint: string, url: string, token: string): Promise<Builds> => {
  const { series, paths, credentials, warn } = parts;
  const client = new ECSClient({ endpoint: ecsEndpoint, region: REGION, credentials });
  const builds = new Builds({
    dir: paths.builds,
    workspaceRoot: paths.runner,
    runnerVersion: villageVersion(),
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
  Object.assign(env, handlerEnvironment(credentials, endpoints, villageVersion()));
  backend.objects.setAllowedOrigins(originsOf(gateway.url));
  return gateway;
};

const prepare = async (context: VillageContext): Promise<Parts> => {
  const { options, series, warn } = context;
  requireNode(process.versions.node);
  await series.step(
    'data directory',
    () => takeLock(options.dataDir),
    (release) => release(),
  );
  if (options.port !== 0) await requireFreePort(options.port);
  const paths = pathsOf(options.dataDir);
  removeEndpointFile(paths.endpoint);
  mkdirSync(paths.runner, { recursive: true, mode: 0o700 });
  const random = systemRandom;
  for (const name of ['AWS_PROFILE', 'AWS_SESSION_TOKEN']) delete context.env[name];
  Object.assign(context.env, loadEnvironment(context.env.LOG_LEVEL ?? 'WARN'));
  return {
    ...context,
    paths,
    credentials: { accessKeyId: `LOCAL${random.hex(8)}`, secretAccessKey: random.hex(SECRET_BYTES) },
    clock: systemClock,
    random,
    chaos: createChaos(options.chaos),
    log: platformLog(warn),
  };
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
  await series.step(
    'streams and schedules',
    () => ({
      streams: startStreams(tables.streams, lambda, paths.streams, warn),
      schedules: runSchedules(SCHEDULES, { lambda, clock, random, log }),
      sweeper: startSweeper(tables.client, TABLE_SPECS, clock, warn),
    }),
    async (running) => {
      await Promise.all([running.streams.stop(), running.schedules.stop(), running.sweeper.stop()]);
    },
  );
  await series.step(
    'endpoint file',
    () => writeEndpointFile(paths.endpoint, { url, token: first.token }),
    () => removeEndpointFile(paths.endpoint),
  );
  return { url, signInUrl: `${url}/signin#${first.signInCode}` };
};
