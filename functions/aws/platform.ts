/** The ports that entries need, fulfilled by AWS. Made once per process; each part when it is first asked for. */
import { monotonicFactory } from 'ulid';
import { systemClock, systemRandom } from '../../shared/clock.ts';
import type { ControlToRunnerFrame, ControlToViewerFrame } from '../../shared/frames.ts';
import { type ControlPlaneEnv, parseEnv } from '../env.ts';
import { buildStore } from '../releases/build-store.ts';
import { runnerStore } from '../runners/runner-store.ts';
import { sessionStore } from '../sessions/session-store.ts';
import { jwtSigner } from '../signing.ts';
import { runnerLine } from '../streams/runner-line.ts';
import { viewerFanOut } from '../streams/viewer-fan-out.ts';
import { watcherStore } from '../streams/watchers.ts';
import { tenantStore } from '../tenants/tenant-store.ts';
import { dynamoDbClient, ecsClient, managementClient, s3Client, secretsClient } from './clients.ts';
import { dynamoDatabase } from './dynamo-database.ts';
import { ecsTaskLauncher } from './ecs-task-launcher.ts';
import { managementCloser, managementSender } from './management-sender.ts';
import { s3ObjectStore } from './s3-object-store.ts';
import { secretReader } from './secrets.ts';

const SIGNING_KEY_MIN_CHARS = 32;
const clock = systemClock;
const random = systemRandom;

const database = (env: ControlPlaneEnv) =>
  dynamoDatabase({
    client: dynamoDbClient(),
    tableNames: {
      tenants: env.TABLE_TENANTS,
      sessions: env.TABLE_SESSIONS,
      events: env.TABLE_EVENTS,
      connections: env.TABLE_CONNECTIONS,
      usage: env.TABLE_USAGE,
      releases: env.TABLE_RELEASES,
      runners: env.TABLE_RUNNERS,
    },
    clock,
    random,
  });

const makePlatform = () => {
  const env = parseEnv(process.env);
  const readSecret = secretReader({ client: secretsClient, clock });
  const signingKey = async (): Promise<Uint8Array> => {
    const value = await readSecret(env.SECRET_SIGNING_KEY);
    if (value === null || value.length < SIGNING_KEY_MIN_CHARS)
      throw new Error('the signing key is missing or too short');
    return new TextEncoder().encode(value);
  };
  /** `null` where no CloudFront stands in front: then nothing can prove that a request came through it. */
  const edgeSecret = async (): Promise<string | null> =>
    env.REQUIRE_ORIGIN_SECRET ? ((await readSecret(env.SECRET_ORIGIN_SECRET)) ?? '') : null;
  const db = database(env);
  const runnerManagement = managementClient(env.MANAGEMENT_ENDPOINT_RUNNER);
  const runnerSender = managementSender<ControlToRunnerFrame>(runnerManagement);
  const viewers = managementSender<ControlToViewerFrame>(managementClient(env.MANAGEMENT_ENDPOINT_VIEWER));
  const sessions = sessionStore(db, clock);
  const watchers = watcherStore({ db, sessions, clock });
  const runners = runnerLine({ db, sender: runnerSender, clock });
  return {
    env,
    clock,
    random,
    newId: monotonicFactory(),
    db,
    sessions,
    watchers,
    runners,
    runnerSender,
    runnerCloser: managementCloser(runnerManagement),
    fanOut: viewerFanOut({ watchers, viewers, runners, clock, epochOf: sessions.epochOf }),
    tenants: tenantStore(db, clock),
    builds: buildStore(db),
    runnerStore: runnerStore(db, clock),
    signer: jwtSigner({ key: signingKey, clock }),
    signingKey,
    readSecret,
    edgeSecret,
    objects: s3ObjectStore({ client: s3Client(), bucket: env.BUCKET_TRANSCRIPTS }),
    tasks: ecsTaskLauncher({
      client: ecsClient(),
      cluster: env.CLUSTER,
      container: env.TASK_CONTAINER,
      subnets: env.TASK_SUBNETS,
      securityGroups: env.TASK_SECURITY_GROUPS,
    }),
    publicUrl: env.PUBLIC_URL,
    warmPoolSize: env.WARM_POOL_SIZE,
    runnerImage: env.RUNNER_IMAGE,
  };
};

export type Platform = ReturnType<typeof makePlatform>;
let made: Platform | undefined;

/** Composed at the first invocation, not at import: a test sets the environment first. */
export const platform = (): Platform => {
  made ??= makePlatform();
  return made;
};
