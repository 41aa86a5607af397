/** Turns records as the streams API gives them into the JSON a Lambda gets from its event source. */
import type { _Record, AttributeValue } from '@aws-sdk/client-dynamodb-streams';
import type { DynamoDBRecord, DynamoDBStreamEvent, AttributeValue as LambdaValue } from 'aws-lambda';

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

function toLambdaValue(value: AttributeValue): LambdaValue {
  if (value.B !== undefined) return { B: base64(value.B) };
  if (value.BS !== undefined) return { BS: value.BS.map(base64) };
  if (value.L !== undefined) return { L: value.L.map(toLambdaValue) };
  if (value.M !== undefined) return { M: toLambdaImage(value.M) };
  if (value.S !== undefined) return { S: value.S };
  if (value.N !== undefined) return { N: value.N };
  if (value.BOOL !== undefined) return { BOOL: value.BOOL };
  if (value.NULL !== undefined) return { NULL: value.NULL };
  if (value.SS !== undefined) return { SS: value.SS };
  if (value.NS !== undefined) return { NS: value.NS };
  throw new Error(`attribute value of an unknown kind: ${Object.keys(value).join(', ')}`);
}

const toLambdaImage = (image: Record<string, AttributeValue>): Record<string, LambdaValue> =>
  Object.fromEntries(Object.entries(image).map(([name, value]) => [name, toLambdaValue(value)]));

function toLambdaRecord(record: _Record, eventSourceARN: string, awsRegion: string): DynamoDBRecord {
  const { Keys, NewImage, OldImage, ApproximateCreationDateTime, SequenceNumber, SizeBytes, StreamViewType } =
    record.dynamodb ?? {};
  return {
    ...(record.eventID === undefined ? {} : { eventID: record.eventID }),
    ...(record.eventName === undefined ? {} : { eventName: record.eventName }),
    eventVersion: record.eventVersion ?? '1.1',
    eventSource: 'aws:dynamodb',
    awsRegion,
    eventSourceARN,
    dynamodb: {
      ...(ApproximateCreationDateTime
        ? { ApproximateCreationDateTime: Math.floor(ApproximateCreationDateTime.getTime() / 1000) }
        : {}),
      ...(Keys ? { Keys: toLambdaImage(Keys) } : {}),
      ...(NewImage ? { NewImage: toLambdaImage(NewImage) } : {}),
      ...(OldImage ? { OldImage: toLambdaImage(OldImage) } : {}),
      ...(SequenceNumber === undefined ? {} : { SequenceNumber }),
      ...(SizeBytes === undefined ? {} : { SizeBytes }),
      ...(StreamViewType === undefined ? {} : { StreamViewType }),
    },
    ...(record.userIdentity ? { userIdentity: record.userIdentity } : {}),
  };
}

/** The event of one batch: binary as base64, times in seconds, as AWS Lambda documents it for DynamoDB streams. */
export const toLambdaStreamEvent = (
  records: readonly _Record[],
  streamArn: string,
  region: string,
): DynamoDBStreamEvent => ({ Records: records.map((record) => toLambdaRecord(record, streamArn, region)) });
