import { DescribeTableCommand, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { DescribeStreamCommand, ListStreamsCommand } from '@aws-sdk/client-dynamodb-streams';
import {
  GetCommand,
  PutCommand,
  QueryCommand,
  ScanCommand,
  TransactWriteCommand,
  type TransactWriteCommandInput,
} from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TABLES } from '../../../infra/topology.ts';
import { ensureTables } from '../../../local/dynamodb/ensure-tables.ts';
import { sweepExpired } from '../../../local/dynamodb/ttl-sweeper.ts';
import { type DynamodbHarness, dynamodbHarness, failure, SESSIONS } from './dynamodb-harness.ts';

let harness: DynamodbHarness;
beforeAll(async () => {
  harness = await dynamodbHarness();
  await ensureTables(harness.client, [SESSIONS]);
});
afterAll(() => harness.stop());

const put = (item: Record<string, unknown>) =>
  harness.documents.send(new PutCommand({ TableName: 'sessions', Item: item }));
const get = async (pk: string, sk: string) =>
  (await harness.documents.send(new GetCommand({ TableName: 'sessions', Key: { pk, sk }, ConsistentRead: true }))).Item;
const transact = (TransactItems: TransactWriteCommandInput['TransactItems'], ClientRequestToken?: string) =>
  harness.documents.send(
    new TransactWriteCommand({ TransactItems, ...(ClientRequestToken ? { ClientRequestToken } : {}) }),
  );

describe('architecture §3, row DynamoDB: tables of the topology', () => {
  it('creates them, and changes nothing the second time', async () => {
    expect(
      (
        await ensureTables(
          harness.client,
          TABLES.filter((table) => table.name !== 'sessions'),
        )
      ).created,
    ).toHaveLength(TABLES.length - 1);
    expect(
      await ensureTables(harness.client, [...TABLES.filter((table) => table.name !== 'sessions'), SESSIONS]),
    ).toEqual({ created: [], changed: [] });
    const names = (await harness.client.send(new ListTablesCommand({}))).TableNames;
    expect(names).toEqual(TABLES.map((table) => table.name).toSorted());
  });

  it('adds and replaces indexes, streams and TTL in place, keeping the data', async () => {
    const spec = { name: 'growing', partitionKey: { name: 'pk', type: 'S' }, indexes: [] } as const;
    await ensureTables(harness.client, [spec]);
    await harness.documents.send(new PutCommand({ TableName: 'growing', Item: { pk: 'a', colour: 'red', size: 7 } }));
    const indexed = {
      ...spec,
      ttlAttribute: 'goneAt',
      stream: 'NEW_IMAGE',
      indexes: [{ name: 'by-colour', partitionKey: { name: 'colour', type: 'S' }, projection: 'KEYS_ONLY' }],
    } as const;
    expect(await ensureTables(harness.client, [indexed])).toEqual({ created: [], changed: ['growing'] });
    const scan = () => harness.documents.send(new ScanCommand({ TableName: 'growing', IndexName: 'by-colour' }));
    expect((await scan()).Items).toEqual([{ pk: 'a', colour: 'red' }]);
    const wider = {
      ...indexed,
      stream: 'NEW_AND_OLD_IMAGES',
      indexes: [{ ...indexed.indexes[0], projection: ['size'] }],
    } as const;
    expect(await ensureTables(harness.client, [wider])).toEqual({ created: [], changed: ['growing'] });
    expect((await scan()).Items).toEqual([{ pk: 'a', colour: 'red', size: 7 }]);
    expect(await ensureTables(harness.client, [wider])).toEqual({ created: [], changed: [] });
    expect(await ensureTables(harness.client, [spec])).toEqual({ created: [], changed: ['growing'] });
    const table = (await harness.client.send(new DescribeTableCommand({ TableName: 'growing' }))).Table;
    expect([table?.GlobalSecondaryIndexes ?? [], table?.StreamSpecification?.StreamEnabled ?? false]).toEqual([
      [],
      false,
    ]);
  });

  it('refuses a table whose keys differ', async () => {
    const other = { ...SESSIONS, sortKey: { name: 'other', type: 'S' } } as const;
    await expect(ensureTables(harness.client, [other])).rejects.toThrow('sessions exists with other keys');
  });
});

describe('facts "DynamoDB: transaction 100 items; two actions on one item cancel the whole"', () => {
  const head = (sk: string) => ({ pk: 'txn', sk });

  it('all or nothing, with a reason per item and the old item where asked for', async () => {
    await put({ ...head('head'), acked: 4 });
    const error = await failure(
      transact([
        { Put: { TableName: 'sessions', Item: head('segment') } },
        {
          Update: {
            TableName: 'sessions',
            Key: head('head'),
            UpdateExpression: 'SET acked = :next',
            ConditionExpression: 'acked = :expected',
            ExpressionAttributeValues: { ':next': 6, ':expected': 5 },
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
        },
        { ConditionCheck: { TableName: 'sessions', Key: head('absent'), ConditionExpression: 'attribute_exists(pk)' } },
      ]),
    );
    expect(error.name).toBe('TransactionCanceledException');
    expect(error.CancellationReasons).toMatchObject([
      { Code: 'None' },
      // The document client leaves the items of a cancellation in wire form.
      { Code: 'ConditionalCheckFailed', Item: { pk: { S: 'txn' }, sk: { S: 'head' }, acked: { N: '4' } } },
      { Code: 'ConditionalCheckFailed' },
    ]);
    expect(await get('txn', 'segment')).toBeUndefined();
  });

  it('reaches over tables', async () => {
    await ensureTables(harness.client, [{ name: 'other-table', partitionKey: { name: 'id', type: 'N' }, indexes: [] }]);
    const other = {
      Put: { TableName: 'other-table', Item: { id: 1 }, ConditionExpression: 'attribute_not_exists(id)' },
    };
    await transact([{ Put: { TableName: 'sessions', Item: head('both') } }, other]);
    const again = await failure(transact([{ Put: { TableName: 'sessions', Item: head('second') } }, other]));
    expect(again.CancellationReasons).toMatchObject([{ Code: 'None' }, { Code: 'ConditionalCheckFailed' }]);
    expect([await get('txn', 'both'), await get('txn', 'second')]).toEqual([head('both'), undefined]);
  });

  it('the same ClientRequestToken applies once; with other items it is a mismatch', async () => {
    const add = (by: number) => [
      {
        Update: {
          TableName: 'sessions',
          Key: head('counter'),
          UpdateExpression: 'ADD applied :by',
          ExpressionAttributeValues: { ':by': by },
        },
      },
    ];
    await transact(add(1), 'token-1');
    await transact(add(1), 'token-1');
    expect((await failure(transact(add(2), 'token-1'))).name).toBe('IdempotentParameterMismatchException');
    expect(await get('txn', 'counter')).toMatchObject({ applied: 1 });
  });

  it('takes 100 items and refuses 101, and two actions on one item', async () => {
    const puts = (count: number) =>
      Array.from({ length: count }, (_, at) => ({ Put: { TableName: 'sessions', Item: head(`n${at}`) } }));
    await transact(puts(100));
    expect((await failure(transact(puts(101)))).name).toBe('ValidationException');
    expect((await failure(transact([...puts(1), ...puts(1)]))).name).toBe('ValidationException');
  });

  it('concurrent conditional writers: exactly one wins', async () => {
    await put({ ...head('race'), epoch: 0 });
    const raise = (owner: number) =>
      transact([
        {
          Update: {
            TableName: 'sessions',
            Key: head('race'),
            UpdateExpression: 'SET epoch = :next, #o = :owner',
            ConditionExpression: 'epoch = :current',
            ExpressionAttributeNames: { '#o': 'owner' },
            ExpressionAttributeValues: { ':next': 1, ':current': 0, ':owner': owner },
          },
        },
      ]);
    const outcomes = await Promise.allSettled(Array.from({ length: 12 }, (_, owner) => raise(owner)));
    expect(outcomes.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
    expect(await get('txn', 'race')).toMatchObject({
      owner: outcomes.findIndex((each) => each.status === 'fulfilled'),
    });
  });

  it('an item of more than 400 KB is refused', async () => {
    await put({ pk: 'size', sk: '1', body: 'x'.repeat(399 * 1024) });
    expect((await failure(put({ pk: 'size', sk: '2', body: 'x'.repeat(401 * 1024) }))).name).toBe(
      'ValidationException',
    );
  });
});

describe('architecture §10: sparse indexes', () => {
  it('hold only items with the index keys, with their projection, and follow updates', async () => {
    await put({
      pk: 'gsi',
      sk: '1',
      liveShard: 's0',
      nextCheckAtMs: 20,
      tenantKey: 't',
      stateKey: 'running',
      title: 'T',
    });
    await put({ pk: 'gsi', sk: '2', liveShard: 's0', nextCheckAtMs: 10 });
    await put({ pk: 'gsi', sk: '3', tenantKey: 't' });
    const query = (IndexName: string, key: string, value: string) =>
      harness.documents
        .send(
          new QueryCommand({
            TableName: 'sessions',
            IndexName,
            KeyConditionExpression: '#k = :v',
            ExpressionAttributeNames: { '#k': key },
            ExpressionAttributeValues: { ':v': value },
          }),
        )
        .then((page) => page.Items);
    expect(await query('live', 'liveShard', 's0')).toEqual([
      { pk: 'gsi', sk: '2', liveShard: 's0', nextCheckAtMs: 10 },
      { pk: 'gsi', sk: '1', liveShard: 's0', nextCheckAtMs: 20 },
    ]);
    expect((await query('by-tenant', 'tenantKey', 't'))?.map((item) => item.sk).toSorted()).toEqual(['1', '3']);
    expect(await query('by-state', 'stateKey', 'running')).toEqual([
      { pk: 'gsi', sk: '1', stateKey: 'running', title: 'T' },
    ]);
    await put({ pk: 'gsi', sk: '2' });
    expect((await query('live', 'liveShard', 's0'))?.map((item) => item.sk)).toEqual(['1']);
  });
});

describe('facts "TTL deletes within days": the sweeper', () => {
  it('deletes what has expired, in seconds, and nothing else', async () => {
    const nowMs = Date.parse('2030-01-01T00:00:00Z');
    const nowSec = nowMs / 1000;
    await put({ pk: 'ttl', sk: 'past', expiresAtSec: nowSec - 1 });
    await put({ pk: 'ttl', sk: 'now', expiresAtSec: nowSec });
    await put({ pk: 'ttl', sk: 'future-ms', expiresAtSec: nowMs - 1000 });
    await put({ pk: 'ttl', sk: 'far-past', expiresAtSec: 12 });
    await put({ pk: 'ttl', sk: 'text', expiresAtSec: `${nowSec - 1}` });
    await put({ pk: 'ttl', sk: 'none' });
    expect(await sweepExpired({ client: harness.client, tables: [SESSIONS], nowMs })).toBe(1);
    const left = await harness.documents.send(
      new QueryCommand({
        TableName: 'sessions',
        KeyConditionExpression: 'pk = :p',
        ExpressionAttributeValues: { ':p': 'ttl' },
      }),
    );
    expect(left.Items?.map((item) => item.sk)).toEqual(['far-past', 'future-ms', 'none', 'now', 'text']);
  });

  it('stops at its cap and goes on the next time', async () => {
    const nowMs = Date.parse('2031-01-01T00:00:00Z');
    for (let at = 0; at < 5; at += 1) await put({ pk: 'cap', sk: `${at}`, expiresAtSec: nowMs / 1000 - 5 });
    const sweep = () => sweepExpired({ client: harness.client, tables: [SESSIONS], nowMs, maxDeletes: 3 });
    expect(await sweep()).toBe(3);
    expect(await sweep()).toBeGreaterThanOrEqual(2);
    expect(await sweep()).toBe(0);
  });
});

describe('architecture §3, row DynamoDB: data on disk', () => {
  it('survives SIGKILL: items, indexes and the stream', async () => {
    await put({ pk: 'disk', sk: '1', tenantKey: 'disk' });
    const before = await harness.streams.send(new ListStreamsCommand({ TableName: 'sessions' }));
    await harness.crashAndRestart();
    expect(await get('disk', '1')).toEqual({ pk: 'disk', sk: '1', tenantKey: 'disk' });
    expect(await ensureTables(harness.client, [SESSIONS])).toEqual({ created: [], changed: [] });
    const after = await harness.streams.send(new ListStreamsCommand({ TableName: 'sessions' }));
    expect(after.Streams).toEqual(before.Streams);
  });

  it('assumption: an open shard shows an ending sequence number here, so only the iterator tells that it is open', async () => {
    const { Streams } = await harness.streams.send(new ListStreamsCommand({ TableName: 'sessions' }));
    const described = await harness.streams.send(new DescribeStreamCommand({ StreamArn: Streams?.[0]?.StreamArn }));
    expect(described.StreamDescription?.Shards).toHaveLength(1);
    expect(described.StreamDescription?.Shards?.[0]?.SequenceNumberRange?.EndingSequenceNumber).toBeDefined();
  });
});
