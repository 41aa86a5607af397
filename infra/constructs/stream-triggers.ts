/** Functions that follow a table's stream. */
import { Duration } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { CfnEventSourceMapping, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import type { FunctionName, StreamTriggerSpec, TableName } from '../topology.ts';
import type { ByName } from './by-name.ts';
import { deadLetterQueue } from './dead-letters.ts';
import { pascal } from './logical-id.ts';
import type { TableResource } from './tables.ts';

/** As Lambda reads it: a record of the stream has its image in DynamoDB's own notation. */
export const filterPattern = ({ changes, newImage = {} }: Pick<StreamTriggerSpec, 'changes' | 'newImage'>): string => {
  const attributes = Object.entries(newImage).map(([name, value]) => [
    name,
    typeof value === 'boolean' ? { BOOL: [value] } : { S: [value] },
  ]);
  return JSON.stringify({
    eventName: changes,
    ...(attributes.length === 0 ? {} : { dynamodb: { NewImage: Object.fromEntries(attributes) } }),
  });
};

/** Batches of one shard at once; items of one partition, so of one session, stay in order. */
const PARALLEL_BATCHES = 10;

class StreamTrigger extends Construct {
  constructor(scope: Construct, spec: StreamTriggerSpec, { resource }: TableResource, lambda: LambdaFunction) {
    super(scope, `${pascal(spec.table)}To${pascal(spec.function)}`);
    const queue = deadLetterQueue(this, 'DeadLetters');
    lambda.addToRolePolicy(
      new PolicyStatement({
        actions: [
          'dynamodb:DescribeStream',
          'dynamodb:GetRecords',
          'dynamodb:GetShardIterator',
          'dynamodb:ListStreams',
        ],
        resources: [resource.attrStreamArn],
      }),
    );
    const granted = queue.grantSendMessages(lambda);
    new CfnEventSourceMapping(this, 'Mapping', {
      functionName: lambda.functionName,
      eventSourceArn: resource.attrStreamArn,
      startingPosition: 'LATEST',
      batchSize: spec.batchSize,
      parallelizationFactor: PARALLEL_BATCHES,
      bisectBatchOnFunctionError: true,
      maximumRetryAttempts: spec.retries,
      maximumRecordAgeInSeconds: Duration.millis(spec.maxRecordAgeMs).toSeconds(),
      filterCriteria: { filters: [{ pattern: filterPattern(spec) }] },
      destinationConfig: { onFailure: { destination: queue.queueArn } },
    }).node.addDependency(granted);
  }
}

export class StreamTriggers extends Construct {
  constructor(
    scope: Construct,
    id: string,
    specs: readonly StreamTriggerSpec[],
    tables: ByName<TableName, TableResource>,
    functions: ByName<FunctionName, LambdaFunction>,
  ) {
    super(scope, id);
    for (const spec of specs) {
      const table = tables.get(spec.table);
      if (table.spec.stream === undefined) throw new Error(`table "${spec.table}" has no stream to follow`);
      new StreamTrigger(this, spec, table, functions.get(spec.function));
    }
  }
}
