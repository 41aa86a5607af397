/** DynamoDB behind the Database port. */
import {
  ConditionalCheckFailedException,
  type DynamoDBClient,
  TransactionCanceledException,
} from '@aws-sdk/client-dynamodb';
import {
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { z } from 'zod';
import type { Clock, Random } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type {
  Check,
  Database,
  Item,
  Key,
  Page,
  Query,
  TableName,
  TransactResult,
  Write,
  WriteResult,
} from '../database.ts';
import { conditionExpression, Names, updateExpression } from './dynamo-expressions.ts';
import { retryTransient } from './retry.ts';

export interface DynamoDatabaseOptions {
  readonly client: DynamoDBClient;
  /** Physical name of each table. */
  readonly tableNames: Readonly<Record<TableName, string>>;
  readonly clock: Clock;
  readonly random: Random;
}

const encodeCursor = (key: Item | undefined): string | null =>
  key === undefined ? null : Buffer.from(JSON.stringify(key)).toString('base64url');
const invalidCursor = (cause: unknown) =>
  new AppError('invalid_request', 'cursor: take it as the last page gave it, or leave it out.', {
    path: 'cursor',
    cause,
  });
const StartKey = z.record(z.string(), z.union([z.string(), z.number()]));
/** Cursors come back from callers: one that is none is theirs to mend. */
const decodeCursor = (cursor: string): z.infer<typeof StartKey> => {
  try {
    return StartKey.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch (error) {
    throw invalidCursor(error);
  }
};

/** A start key of another table, index or partition. */
const refusedCursor = (request: Query) => (error: unknown) => {
  const isRefused = error instanceof Error && error.name === 'ValidationException';
  throw isRefused && request.cursor !== undefined ? invalidCursor(error) : error;
};

const sortCondition = (query: Query, names: Names): string => {
  if (query.sort === undefined) return '';
  const name = names.name(query.index?.sort ?? 'sk');
  if ('beginsWith' in query.sort) return ` AND begins_with(${name}, ${names.value(query.sort.beginsWith)})`;
  const { from, to } = query.sort;
  if (from !== undefined && to !== undefined) return ` AND ${name} BETWEEN ${names.value(from)} AND ${names.value(to)}`;
  if (from !== undefined) return ` AND ${name} >= ${names.value(from)}`;
  return to === undefined ? '' : ` AND ${name} <= ${names.value(to)}`;
};

/** Parameters of one write, in the shape that both the single commands and a transaction take. */
const writeParameters = (write: Write | Check, tableName: string) => {
  const names = new Names();
  const update = write.kind === 'update' ? updateExpression(write, names) : undefined;
  const condition = conditionExpression(write.conditions ?? [], names);
  return {
    TableName: tableName,
    ...(write.kind === 'put' ? { Item: { ...write.item } } : { Key: { ...write.key } }),
    ...(update === undefined ? {} : { UpdateExpression: update }),
    ...(condition === undefined ? {} : { ConditionExpression: condition }),
    ...names.attributes(),
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
  };
};

/** The client with the physical names: what each call needs. */
interface Tables {
  readonly documents: DynamoDBDocumentClient;
  readonly tableNames: Readonly<Record<TableName, string>>;
}

const itemOf = (item: Parameters<typeof unmarshall>[0] | undefined): Item | null =>
  item === undefined ? null : unmarshall(item);

const send = async ({ documents, tableNames }: Tables, write: Write): Promise<Item | null> => {
  const parameters = writeParameters(write, tableNames[write.table]);
  if (write.kind === 'put') {
    await documents.send(new PutCommand({ ...parameters, Item: { ...write.item } }));
    return null;
  }
  const keyed = { ...parameters, Key: { ...write.key } };
  const { Attributes } =
    write.kind === 'delete'
      ? await documents.send(new DeleteCommand({ ...keyed, ReturnValues: 'ALL_OLD' }))
      : await documents.send(new UpdateCommand({ ...keyed, ReturnValues: 'ALL_NEW' }));
  return Attributes ?? null;
};

const single = async (tables: Tables, write: Write): Promise<WriteResult> => {
  try {
    return { ok: true, item: await send(tables, write) };
  } catch (error) {
    if (error instanceof ConditionalCheckFailedException) return { ok: false, item: itemOf(error.Item) };
    throw error;
  }
};

const transactItem = (write: Write | Check, tableName: string) => {
  const parameters = writeParameters(write, tableName);
  if (write.kind === 'put') return { Put: { ...parameters, Item: { ...write.item } } };
  const keyed = { ...parameters, Key: { ...write.key } };
  if (write.kind === 'update') return { Update: { ...keyed, UpdateExpression: keyed.UpdateExpression ?? '' } };
  if (write.kind === 'delete') return { Delete: keyed };
  return { ConditionCheck: { ...keyed, ConditionExpression: keyed.ConditionExpression ?? '' } };
};

const transact = async (
  { documents, tableNames }: Tables,
  writes: readonly (Write | Check)[],
): Promise<TransactResult> => {
  const TransactItems = writes.map((write) => transactItem(write, tableNames[write.table]));
  try {
    await documents.send(new TransactWriteCommand({ TransactItems }));
    return { ok: true };
  } catch (error) {
    if (!(error instanceof TransactionCanceledException)) throw error;
    const failed = (error.CancellationReasons ?? []).flatMap((reason, index) =>
      reason.Code === 'ConditionalCheckFailed' ? [{ index, item: itemOf(reason.Item) }] : [],
    );
    if (failed.length === 0) throw error;
    return { ok: false, failed };
  }
};

const queryPage = async ({ documents, tableNames }: Tables, request: Query): Promise<Page> => {
  const names = new Names();
  const partition = `${names.name(request.index?.partition ?? 'pk')} = ${names.value(request.partition)}`;
  const KeyConditionExpression = partition + sortCondition(request, names);
  const ExclusiveStartKey = request.cursor === undefined ? undefined : decodeCursor(request.cursor);
  const { Items, LastEvaluatedKey } = await documents.send(
    new QueryCommand({
      TableName: tableNames[request.table],
      ...(request.index === undefined
        ? { ConsistentRead: request.consistent ?? true }
        : { IndexName: request.index.name }),
      KeyConditionExpression,
      ...names.attributes(),
      Limit: request.limit,
      ScanIndexForward: request.descending !== true,
      ...(ExclusiveStartKey === undefined ? {} : { ExclusiveStartKey }),
    }),
  );
  return { items: Items ?? [], cursor: encodeCursor(LastEvaluatedKey) };
};

const getItem = async ({ documents, tableNames }: Tables, table: TableName, key: Key): Promise<Item | null> => {
  const { Item: item } = await documents.send(
    new GetCommand({ TableName: tableNames[table], Key: { ...key }, ConsistentRead: true }),
  );
  return item ?? null;
};

export const dynamoDatabase = ({ client, tableNames, clock, random }: DynamoDatabaseOptions): Database => {
  const documents = DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
  const tables = { documents, tableNames };
  const retry = <T>(run: () => Promise<T>) => retryTransient(run, { clock, random });
  return {
    get: (table, key) => retry(() => getItem(tables, table, key)),
    query: (request) => retry(() => queryPage(tables, request)).catch(refusedCursor(request)),
    write: (write) => retry(() => single(tables, write)),
    transact: (writes) => retry(() => transact(tables, writes)),
  };
};
