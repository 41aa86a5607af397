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
      filterCriteria: { filters: [{ pattern: JSON.stringify({ eventName: spec.changes }) }] },
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
