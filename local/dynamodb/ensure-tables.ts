/** Makes the tables of the topology exist, again and again: a restart changes nothing, a new index or stream is added in place. */
import {
  type AttributeDefinition,
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
  type GlobalSecondaryIndex,
  type GlobalSecondaryIndexDescription,
  type KeySchemaElement,
  ResourceNotFoundException,
  type TableDescription,
  UpdateTableCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import { type Clock, sleep, systemClock } from '../../shared/clock.ts';
import type { IndexSpec, KeySpec, TableSpec } from './table-spec.ts';

const ACTIVE_TIMEOUT_MS = 60_000;
const ACTIVE_POLL_MS = 20;

export interface EnsuredTables {
  created: string[];
  /** Tables that existed and got another index, stream or TTL. */
  changed: string[];
}

const keySchema = (spec: { partitionKey: KeySpec; sortKey?: KeySpec }): KeySchemaElement[] => [
  { AttributeName: spec.partitionKey.name, KeyType: 'HASH' },
  ...(spec.sortKey ? [{ AttributeName: spec.sortKey.name, KeyType: 'RANGE' as const }] : []),
];

function attributesOf(specs: readonly { partitionKey: KeySpec; sortKey?: KeySpec }[]): AttributeDefinition[] {
  const types = new Map<string, KeySpec['type']>();
  for (const key of specs.flatMap((spec) => [spec.partitionKey, ...(spec.sortKey ? [spec.sortKey] : [])])) {
    const known = types.get(key.name);
    if (known !== undefined && known !== key.type)
      throw new Error(`key attribute ${key.name} is both ${known} and ${key.type}`);
    types.set(key.name, key.type);
  }
  return [...types].map(([AttributeName, AttributeType]) => ({ AttributeName, AttributeType }));
}

function indexInput(index: IndexSpec): GlobalSecondaryIndex {
  const projection =
    typeof index.projection === 'string'
      ? { ProjectionType: index.projection }
      : { ProjectionType: 'INCLUDE' as const, NonKeyAttributes: [...index.projection] };
  return { IndexName: index.name, KeySchema: keySchema(index), Projection: projection };
}

/** One text per key schema or index, so that what is there and what is wanted can be compared. */
const keysText = (keys: readonly KeySchemaElement[] | undefined): string =>
  (keys ?? [])
    .map((key) => `${key.KeyType}:${key.AttributeName}`)
    .sort()
    .join(',');
const indexText = (index: GlobalSecondaryIndex | GlobalSecondaryIndexDescription): string =>
  [
    keysText(index.KeySchema),
    index.Projection?.ProjectionType,
    ...(index.Projection?.NonKeyAttributes ?? []).toSorted(),
  ].join('|');

async function describe(client: DynamoDBClient, name: string): Promise<TableDescription | undefined> {
  try {
    return (await client.send(new DescribeTableCommand({ TableName: name }))).Table;
  } catch (error) {
    if (error instanceof ResourceNotFoundException) return undefined;
    throw error;
  }
}

/** Waits until the table and each of its indexes is ACTIVE; throws after a minute. */
async function whenActive(client: DynamoDBClient, name: string, clock: Clock): Promise<TableDescription> {
  const deadlineMs = clock.monotonicMs() + ACTIVE_TIMEOUT_MS;
  for (;;) {
    const table = await describe(client, name);
    const states = [table?.TableStatus, ...(table?.GlobalSecondaryIndexes ?? []).map((index) => index.IndexStatus)];
    if (table && states.every((state) => state === 'ACTIVE')) return table;
    if (clock.monotonicMs() > deadlineMs) throw new Error(`table ${name} is not active: ${states.join(', ')}`);
    await sleep(clock, ACTIVE_POLL_MS);
  }
}

async function createTable(client: DynamoDBClient, spec: TableSpec): Promise<void> {
  const input = {
    TableName: spec.name,
    BillingMode: 'PAY_PER_REQUEST' as const,
    AttributeDefinitions: attributesOf([spec, ...spec.indexes]),
    KeySchema: keySchema(spec),
    ...(spec.indexes.length > 0 ? { GlobalSecondaryIndexes: spec.indexes.map(indexInput) } : {}),
    ...(spec.stream ? { StreamSpecification: { StreamEnabled: true, StreamViewType: spec.stream } } : {}),
  };
  await client.send(new CreateTableCommand(input));
}

/** Creates, replaces and removes indexes, one per call as DynamoDB wants it; returns whether anything changed. */
async function alignIndexes(
  client: DynamoDBClient,
  spec: TableSpec,
  table: TableDescription,
  clock: Clock,
): Promise<boolean> {
  const wanted = new Map(spec.indexes.map((index) => [index.name, indexInput(index)]));
  const present = new Map(
    (table.GlobalSecondaryIndexes ?? []).map((index) => [index.IndexName ?? '', indexText(index)]),
  );
  const stale = [...present].filter(([name, text]) => {
    const index = wanted.get(name);
    return !index || indexText(index) !== text;
  });
  for (const [IndexName] of stale) {
    await client.send(
      new UpdateTableCommand({ TableName: spec.name, GlobalSecondaryIndexUpdates: [{ Delete: { IndexName } }] }),
    );
    await whenActive(client, spec.name, clock);
    present.delete(IndexName);
  }
  const missing = spec.indexes.filter((index) => !present.has(index.name));
  for (const index of missing) {
    const { IndexName, KeySchema, Projection } = indexInput(index);
    const Create = { IndexName, KeySchema, Projection };
    const AttributeDefinitions = attributesOf([spec, index]);
    await client.send(
      new UpdateTableCommand({ TableName: spec.name, AttributeDefinitions, GlobalSecondaryIndexUpdates: [{ Create }] }),
    );
    await whenActive(client, spec.name, clock);
  }
  return stale.length + missing.length > 0;
}

/** A view type cannot be changed in place: the stream is switched off first. */
async function alignStream(
  client: DynamoDBClient,
  spec: TableSpec,
  table: TableDescription,
  clock: Clock,
): Promise<boolean> {
  const present = table.StreamSpecification?.StreamEnabled ? table.StreamSpecification.StreamViewType : undefined;
  if (present === spec.stream) return false;
  const set = async (StreamSpecification: {
    StreamEnabled: boolean;
    StreamViewType?: NonNullable<TableSpec['stream']>;
  }) => {
    await client.send(new UpdateTableCommand({ TableName: spec.name, StreamSpecification }));
    await whenActive(client, spec.name, clock);
  };
  if (present !== undefined) await set({ StreamEnabled: false });
  if (spec.stream !== undefined) await set({ StreamEnabled: true, StreamViewType: spec.stream });
  return true;
}

async function alignTtl(client: DynamoDBClient, spec: TableSpec): Promise<boolean> {
  const ttl = (await client.send(new DescribeTimeToLiveCommand({ TableName: spec.name }))).TimeToLiveDescription;
  const present =
    ttl?.TimeToLiveStatus === 'ENABLED' || ttl?.TimeToLiveStatus === 'ENABLING' ? ttl.AttributeName : undefined;
  if (present === spec.ttlAttribute) return false;
  const set = (AttributeName: string, Enabled: boolean) =>
    client.send(
      new UpdateTimeToLiveCommand({ TableName: spec.name, TimeToLiveSpecification: { AttributeName, Enabled } }),
    );
  if (present !== undefined) await set(present, false);
  if (spec.ttlAttribute !== undefined) await set(spec.ttlAttribute, true);
  return true;
}

/**
 * Creates what is missing and aligns indexes, streams and TTL of what is there; data stays.
 * Throws where a table of that name has other keys: that cannot be changed in place, and guessing would lose data.
 */
export async function ensureTables(
  client: DynamoDBClient,
  specs: readonly TableSpec[],
  clock: Clock = systemClock,
): Promise<EnsuredTables> {
  const ensured: EnsuredTables = { created: [], changed: [] };
  for (const spec of specs) {
    const present = await describe(client, spec.name);
    if (!present) await createTable(client, spec);
    const table = await whenActive(client, spec.name, clock);
    const types = new Map((table.AttributeDefinitions ?? []).map((each) => [each.AttributeName, each.AttributeType]));
    const sameTypes = attributesOf([spec]).every((each) => types.get(each.AttributeName) === each.AttributeType);
    if (keysText(table.KeySchema) !== keysText(keySchema(spec)) || !sameTypes) {
      throw new Error(
        `table ${spec.name} exists with other keys (${keysText(table.KeySchema)}): use another data directory`,
      );
    }
    const indexes = await alignIndexes(client, spec, table, clock);
    const stream = await alignStream(client, spec, table, clock);
    const ttl = await alignTtl(client, spec);
    if (!present) ensured.created.push(spec.name);
    else if (indexes || stream || ttl) ensured.changed.push(spec.name);
  }
  return ensured;
}
