/** The stores of the village: database, secrets, objects. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBStreamsClient } from '@aws-sdk/client-dynamodb-streams';
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { BUCKETS, SECRETS, TABLES } from '../../infra/topology.ts';
import { ensureTables } from '../dynamodb/ensure-tables.ts';
import { keepDynamodb } from '../dynamodb/keep-dynamodb.ts';
import { REGION } from '../lambda/identity.ts';
import { startS3 } from '../s3/server.ts';
import { startSecrets } from '../secrets/server.ts';
import { bucketName, secretName, tableName } from './handler-environment.ts';
import type { Parts } from './parts.ts';
import { VillageError } from './village-error.ts';

const SECRET_BYTES = 32;
export const TABLE_SPECS = TABLES.map((table) => ({ ...table, name: tableName(table.name) }));

/** Returns the endpoint. Throws VillageError where the embedded database cannot run. */
export const startDatabase = async ({ options, series, paths, clock, warn, onLost }: Parts): Promise<string> => {
  if (options.dynamodbEndpoint !== undefined) return options.dynamodbEndpoint;
  const started = await series.step(
    'database',
    () => keepDynamodb({ dir: paths.dynamodb, clock, warn, onLost }),
    async (result) => {
      if (result.ok) await result.dynamodb.stop();
    },
  );
  if (!started.ok) throw new VillageError(started.message);
  return started.dynamodb.endpoint;
};

/** Makes the tables of the topology exist. Throws VillageError where they cannot be prepared. */
export const startTables = async ({ series, credentials, clock }: Parts, endpoint: string) => {
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

/** Generates what the topology says; the model keys are those of this process, so that a key that was taken away is gone. */
export const startSecretStore = async ({ series, paths, credentials, clock, random, env, warn }: Parts) => {
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

export const startObjects = ({ series, paths, credentials, clock, warn }: Parts) =>
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
