/** Records of a DynamoDB stream as plain items. */
import { unmarshall } from '@aws-sdk/util-dynamodb';
import type { DynamoDBStreamEvent } from 'aws-lambda';
import { z } from 'zod';
import type { Item, Key } from '../database.ts';

export type StreamEvent = DynamoDBStreamEvent;

/** New images of inserted and changed items, in the order of the stream. */
export const imagesOf = (event: StreamEvent): Item[] =>
  event.Records.flatMap((record) =>
    record.dynamodb?.NewImage === undefined
      ? []
      : [unmarshall(record.dynamodb.NewImage as Parameters<typeof unmarshall>[0])],
  );

const RemovedKey = z.object({ pk: z.string(), sk: z.string() });

/** Keys of removed items, whoever removed them. */
export const removedKeysOf = (event: StreamEvent): Key[] =>
  event.Records.flatMap(({ eventName, dynamodb }) =>
    eventName === 'REMOVE' && dynamodb?.Keys !== undefined
      ? [RemovedKey.parse(unmarshall(dynamodb.Keys as Parameters<typeof unmarshall>[0]))]
      : [],
  );
