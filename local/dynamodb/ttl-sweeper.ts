/** Deletes expired items, which DynamoDB does by itself and dynoxide does not. */
import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  type DynamoDBClient,
  paginateScan,
} from '@aws-sdk/client-dynamodb';
import type { TableSpec } from './table-spec.ts';

/** DynamoDB leaves items alone whose expiry is further back than this: they look like another unit. */
const TTL_MAX_AGE_SECONDS = 5 * 365 * 24 * 60 * 60;
const PAGE_SIZE = 200;

export interface SweepOptions {
  client: DynamoDBClient;
  tables: readonly TableSpec[];
  /** Milliseconds since 1970. */
  nowMs: number;
  /** Deletions of one sweep; the rest waits for the next. */
  maxDeletes?: number;
}

/**
 * Deletes items whose TTL attribute (seconds since 1970) has passed; returns how many.
 * An item that was renewed after it was read stays: the delete is conditional on the expiry that was seen.
 */
export async function sweepExpired(options: SweepOptions): Promise<number> {
  let left = options.maxDeletes ?? 1_000;
  let deleted = 0;
  for (const table of options.tables) {
    if (table.ttlAttribute === undefined) continue;
    const swept = await sweepTable(options.client, table, table.ttlAttribute, Math.floor(options.nowMs / 1000), left);
    deleted += swept;
    left -= swept;
    if (left <= 0) break;
  }
  return deleted;
}

async function sweepTable(
  client: DynamoDBClient,
  table: TableSpec,
  attribute: string,
  nowSeconds: number,
  max: number,
): Promise<number> {
  const keyNames = [table.partitionKey.name, ...(table.sortKey ? [table.sortKey.name] : [])];
  const names = Object.fromEntries([...keyNames, attribute].map((name, at) => [`#k${at}`, name]));
  const pages = paginateScan(
    { client, pageSize: PAGE_SIZE },
    {
      TableName: table.name,
      FilterExpression: '#ttl < :now AND #ttl > :oldest',
      ProjectionExpression: Object.keys(names).join(', '),
      ExpressionAttributeNames: { ...names, '#ttl': attribute },
      ExpressionAttributeValues: {
        ':now': { N: `${nowSeconds}` },
        ':oldest': { N: `${nowSeconds - TTL_MAX_AGE_SECONDS}` },
      },
    },
  );
  let deleted = 0;
  for await (const page of pages) {
    for (const item of page.Items ?? []) {
      if (deleted >= max) return deleted;
      const key = Object.fromEntries(Object.entries(item).filter(([name]) => keyNames.includes(name)));
      if (await deleteUnchanged(client, table.name, key, attribute, item[attribute])) deleted += 1;
    }
  }
  return deleted;
}

type Item = NonNullable<ConditionalCheckFailedException['Item']>;

async function deleteUnchanged(
  client: DynamoDBClient,
  tableName: string,
  key: Item,
  attribute: string,
  seen: Item[string] | undefined,
): Promise<boolean> {
  if (seen === undefined) return false;
  const input = {
    TableName: tableName,
    Key: key,
    ConditionExpression: '#ttl = :seen',
    ExpressionAttributeNames: { '#ttl': attribute },
    ExpressionAttributeValues: { ':seen': seen },
  };
  try {
    await client.send(new DeleteItemCommand(input));
    return true;
  } catch (error) {
    // Renewed or deleted meanwhile: exactly what the condition is for.
    if (error instanceof ConditionalCheckFailedException) return false;
    throw error;
  }
}
