import {
  DescribeStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  ListStreamsCommand,
} from '@aws-sdk/client-dynamodb-streams';
import { GetCommand, PutCommand, TransactWriteCommand } from '@aws-sdk/lib-dynamodb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureTables } from '../../../local/dynamodb/ensure-tables.ts';
import { sweepExpired } from '../../../local/dynamodb/ttl-sweeper.ts';
import { type DynamodbHarness, dynamodbHarness, SESSIONS } from './dynamodb-harness.ts';

/** Where dynoxide 1.2.1 differs from DynamoDB and code must not lean on either: a test that fails here means the gap is gone. */

let harness: DynamodbHarness;
beforeEach(async () => {
  harness = await dynamodbHarness();
  await ensureTables(harness.client, [SESSIONS]);
});
afterEach(() => harness.stop());

const put = (Item: Record<string, unknown>) => harness.documents.send(new PutCommand({ TableName: 'sessions', Item }));

async function streamRecords() {
  const { Streams } = await harness.streams.send(new ListStreamsCommand({ TableName: 'sessions' }));
  const StreamArn = Streams?.[0]?.StreamArn;
  const { StreamDescription } = await harness.streams.send(new DescribeStreamCommand({ StreamArn }));
  const ShardId = StreamDescription?.Shards?.[0]?.ShardId;
  const { ShardIterator } = await harness.streams.send(
    new GetShardIteratorCommand({ StreamArn, ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
  );
  return (await harness.streams.send(new GetRecordsCommand({ ShardIterator }))).Records ?? [];
}

describe('known gaps of dynoxide against DynamoDB', () => {
  it('a write that changes nothing still makes a MODIFY record (DynamoDB makes none)', async () => {
    await put({ pk: 'p', sk: '1' });
    await put({ pk: 'p', sk: '1' });
    expect((await streamRecords()).map((record) => record.eventName)).toEqual(['INSERT', 'MODIFY']);
  });

  it('a ClientRequestToken is forgotten by a restart (DynamoDB keeps it for ten minutes)', async () => {
    const Key = { pk: 'p', sk: 'counter' };
    const add = {
      ClientRequestToken: 'one-and-the-same',
      TransactItems: [
        {
          Update: {
            TableName: 'sessions',
            Key,
            UpdateExpression: 'ADD applied :one',
            ExpressionAttributeValues: { ':one': 1 },
          },
        },
      ],
    };
    await harness.documents.send(new TransactWriteCommand(add));
    await harness.crashAndRestart();
    await harness.documents.send(new TransactWriteCommand(add));
    expect((await harness.documents.send(new GetCommand({ TableName: 'sessions', Key }))).Item).toMatchObject({
      applied: 2,
    });
  });

  it('a removal by our TTL sweeper carries no userIdentity (DynamoDB names its service)', async () => {
    const nowMs = Date.parse('2030-01-01T00:00:00Z');
    await put({ pk: 'p', sk: '1', expiresAtSec: nowMs / 1000 - 1 });
    await sweepExpired({ client: harness.client, tables: [SESSIONS], nowMs });
    const removal = (await streamRecords()).at(-1);
    expect([removal?.eventName, removal?.userIdentity]).toEqual(['REMOVE', undefined]);
  });
});
