/** Events of AWS itself on their way to a function. */
import { Duration } from 'aws-cdk-lib';
import { CfnRule } from 'aws-cdk-lib/aws-events';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnEventInvokeConfig, CfnPermission, type Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import type { EventRuleSpec, FunctionName } from '../topology.ts';
import type { ByName } from './by-name.ts';
import { deadLetterQueue } from './dead-letters.ts';
import { pascal } from './logical-id.ts';

/** Past this a task's end is found by the reaper, which asks ECS itself. */
const MAX_AGE = Duration.hours(1);
const DELIVERY_RETRIES = 10;
/** Lambda takes no more for an asynchronous invocation. */
const RUN_RETRIES = 2;

const acceptFrom = (queue: Queue, rule: CfnRule): void => {
  queue.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal('events.amazonaws.com')],
      actions: ['sqs:SendMessage'],
      resources: [queue.queueArn],
      conditions: { ArnEquals: { 'aws:SourceArn': rule.attrArn } },
    }),
  );
};

class EventRule extends Construct {
  constructor(scope: Construct, spec: EventRuleSpec, lambda: LambdaFunction, detail: Record<string, unknown>) {
    super(scope, pascal(spec.name));
    const queue = deadLetterQueue(this, 'DeadLetters');
    const rule = new CfnRule(this, 'Rule', {
      description: `Agent Village: ${spec.name}`,
      eventPattern: { source: [spec.source], 'detail-type': [spec.detailType], detail },
      targets: [
        {
          id: spec.function,
          arn: lambda.functionArn,
          deadLetterConfig: { arn: queue.queueArn },
          retryPolicy: { maximumEventAgeInSeconds: MAX_AGE.toSeconds(), maximumRetryAttempts: DELIVERY_RETRIES },
        },
      ],
    });
    acceptFrom(queue, rule);
    new CfnPermission(this, 'Permission', {
      action: 'lambda:InvokeFunction',
      functionName: lambda.functionArn,
      principal: 'events.amazonaws.com',
      sourceArn: rule.attrArn,
    });
    /** The rule's queue gets what could not be handed over; this one what was handed over and failed. */
    const granted = queue.grantSendMessages(lambda);
    new CfnEventInvokeConfig(this, 'Failures', {
      functionName: lambda.functionName,
      qualifier: '$LATEST',
      maximumRetryAttempts: RUN_RETRIES,
      maximumEventAgeInSeconds: MAX_AGE.toSeconds(),
      destinationConfig: { onFailure: { destination: queue.queueArn } },
    }).node.addDependency(granted);
  }
}

export class EventRules extends Construct {
  /** @param clusterArn only this cluster's tasks: others of the account are not ours */
  constructor(
    scope: Construct,
    id: string,
    specs: readonly EventRuleSpec[],
    functions: ByName<FunctionName, LambdaFunction>,
    clusterArn: string,
  ) {
    super(scope, id);
    for (const spec of specs)
      new EventRule(
        this,
        spec,
        functions.get(spec.function),
        spec.source === 'aws.ecs' ? { clusterArn: [clusterArn] } : {},
      );
  }
}
