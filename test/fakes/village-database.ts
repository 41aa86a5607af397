/** Looks into the embedded database of a running village from outside: what the API says is checked against what is stored. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, QueryCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { TestVillage } from './village.ts';

export type StoredItem = Record<string, unknown>;

export interface VillageDatabase {
  /** Items of a table under one partition key, all pages. `table` is its logical name. */
  items(table: string, pk: string): Promise<StoredItem[]>;
  /** Sets one number of an item, made if absent. */
  setNumber(table: string, key: { pk: string; sk: string }, name: string, value: number): Promise<void>;
  close(): void;
}

/** Throws when no embedded database of this village runs. Its port stands in its command line. */
export const databaseOf = (village: TestVillage): VillageDatabase => {
  const found = village.processes().find(({ command }) => /dynoxide serve/.test(command));
  const port = /--port (\d+)/.exec(found?.command ?? '')?.[1];
  if (port === undefined) throw new Error('no embedded database of this village runs');
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const plain = new DynamoDBClient({ endpoint: `http://127.0.0.1:${port}`, region: 'eu-central-1', credentials });
  const client = DynamoDBDocumentClient.from(plain);
  return {
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
