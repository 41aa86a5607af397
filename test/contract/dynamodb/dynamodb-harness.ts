/** A throw-away dynoxide and SDK clients that reach it as handlers do: through AWS_ENDPOINT_URL_*. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBStreamsClient } from '@aws-sdk/client-dynamodb-streams';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { type DynamodbOptions, type RunningDynamodb, startDynamodb } from '../../../local/dynamodb/dynoxide.ts';
import type { TableSpec } from '../../../local/dynamodb/table-spec.ts';

export const SESSIONS: TableSpec = {
  name: 'sessions',
  partitionKey: { name: 'pk', type: 'S' },
  sortKey: { name: 'sk', type: 'S' },
  ttlAttribute: 'expiresAtSec',
  stream: 'NEW_AND_OLD_IMAGES',
  indexes: [
    {
      name: 'live',
      partitionKey: { name: 'liveShard', type: 'S' },
      sortKey: { name: 'nextCheckAtMs', type: 'N' },
      projection: 'KEYS_ONLY',
    },
    { name: 'by-tenant', partitionKey: { name: 'tenantKey', type: 'S' }, projection: 'ALL' },
    { name: 'by-state', partitionKey: { name: 'stateKey', type: 'S' }, projection: ['title'] },
  ],
};

export interface DynamodbHarness {
  dir: string;
  dynamodb: RunningDynamodb;
  client: DynamoDBClient;
  documents: DynamoDBDocumentClient;
  streams: DynamoDBStreamsClient;
  /** Ends the process the hard way and starts it again on the same data. */
  crashAndRestart(): Promise<void>;
  stop(): Promise<void>;
}

async function start(options: DynamodbOptions): Promise<RunningDynamodb> {
  const started = await startDynamodb(options);
  if (!started.ok) throw new Error(started.message);
  return started.dynamodb;
}

export async function dynamodbHarness(): Promise<DynamodbHarness> {
  const dir = await mkdtemp(join(tmpdir(), 'village-ddb-'));
  const connect = (dynamodb: RunningDynamodb) => {
    process.env.AWS_ENDPOINT_URL_DYNAMODB = dynamodb.endpoint;
    process.env.AWS_ENDPOINT_URL_DYNAMODB_STREAMS = dynamodb.endpoint;
    const config = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
    const client = new DynamoDBClient({ ...config, maxAttempts: 1 });
    return {
      dynamodb,
      client,
      documents: DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } }),
      streams: new DynamoDBStreamsClient({ ...config, maxAttempts: 1 }),
    };
  };
  const harness: DynamodbHarness = {
    dir,
    ...connect(await start({ dir })),
    crashAndRestart: async () => {
      process.kill(harness.dynamodb.pid, 'SIGKILL');
      await harness.dynamodb.exited;
      Object.assign(harness, connect(await start({ dir })));
    },
    stop: async () => {
      await harness.dynamodb.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
  return harness;
}

/** The error a call rejects with. */
export async function failure(call: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await call;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('the call was expected to fail');
}
