/** Looks into the embedded database of a running village from outside: what the API says is checked against what is stored. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, QueryCommand, ScanCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { z } from 'zod';
import type { Item } from '../../functions/database.ts';
import type { TableItems } from '../invariants/stored.ts';
import type { TestVillage } from './village.ts';

export type StoredItem = Record<string, unknown>;

export interface VillageDatabase {
  /** Items of a table under one partition key, all pages. `table` is its logical name. */
  items(table: string, pk: string): Promise<StoredItem[]>;
  /** Every item of the tables that the invariants are about. Not one moment: ask while nothing is written. */
  tables(): Promise<TableItems>;
  /** Sets one number of an item, made if absent. */
  setNumber(table: string, key: { pk: string; sk: string }, name: string, value: number): Promise<void>;
  close(): void;
}

const AnyItem: z.ZodType<Item> = z.looseObject({ pk: z.string(), sk: z.string() });

const scan = async (client: DynamoDBDocumentClient, table: string): Promise<Item[]> => {
  const items: Item[] = [];
  let after: Record<string, unknown> | undefined;
  do {
    const from = after === undefined ? {} : { ExclusiveStartKey: after };
    const page = await client.send(new ScanCommand({ TableName: `village-${table}`, ConsistentRead: true, ...from }));
    items.push(...z.array(AnyItem).parse(page.Items ?? []));
    after = page.LastEvaluatedKey;
  } while (after !== undefined);
  return items;
};

/** Throws when no embedded database of this village runs. Its port stands in its command line. */
export const databaseOf = (village: Pick<TestVillage, 'processes'>): VillageDatabase => {
  const found = village.processes().find(({ command }) => /dynoxide serve/.test(command));
  const port = /--port (\d+)/.exec(found?.command ?? '')?.[1];
  if (port === undefined) throw new Error('no embedded database of this village runs');
  return databaseAt(`http://127.0.0.1:${port}`);
};

export const databaseAt = (endpoint: string): VillageDatabase => {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const plain = new DynamoDBClient({ endpoint, region: 'eu-central-1', credentials });
  const client = DynamoDBDocumentClient.from(plain);
  return {
    async tables() {
      const [sessions = [], events = [], usage = [], tenants = [], runners = []] = await Promise.all(
        ['sessions', 'events', 'usage', 'tenants', 'runners'].map((table) => scan(client, table)),
      );
      return { sessions, events, usage, tenants, runners };
    },
    async items(table, pk) {
      const items: StoredItem[] = [];
      let after: Record<string, unknown> | undefined;
      do {
        const page = await client.send(
          new QueryCommand({
            TableName: `village-${table}`,
            KeyConditionExpression: 'pk = :pk',
            ExpressionAttributeValues: { ':pk': pk },
            ConsistentRead: true,
            ...(after === undefined ? {} : { ExclusiveStartKey: after }),
          }),
        );
        items.push(...(page.Items ?? []));
        after = page.LastEvaluatedKey;
      } while (after !== undefined);
      return items;
    },
    async setNumber(table, key, name, value) {
      await client.send(
        new UpdateCommand({
          TableName: `village-${table}`,
          Key: key,
          UpdateExpression: 'SET #name = :value',
          ExpressionAttributeNames: { '#name': name },
          ExpressionAttributeValues: { ':value': value },
        }),
      );
    },
    close: () => plain.destroy(),
  };
};
