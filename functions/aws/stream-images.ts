/** Records of a DynamoDB stream as plain items. */
import { unmarshall } from '@aws-sdk/util-dynamodb';
import type { DynamoDBStreamEvent } from 'aws-lambda';
import type { Item } from '../database.ts';

export type StreamEvent = DynamoDBStreamEvent;

/** New images of inserted and changed items, in the order of the stream. */
export const imagesOf = (event: StreamEvent): Item[] =>
  event.Records.flatMap((record) =>
    record.dynamodb?.NewImage === undefined
      ? []
      : [unmarshall(record.dynamodb.NewImage as Parameters<typeof unmarshall>[0])],
  );
