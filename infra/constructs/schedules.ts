/** What runs by the clock, through EventBridge Scheduler. */
import { Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { CfnSchedule, CfnScheduleGroup } from 'aws-cdk-lib/aws-scheduler';
import { Construct } from 'constructs';
import type { FunctionName, ScheduleSpec } from '../topology.ts';
import type { ByName } from './by-name.ts';
import { deadLetterQueue } from './dead-letters.ts';
import { pascal } from './logical-id.ts';

const MINUTE_MS = 60_000;
const MIN_EVENT_AGE_SEC = 60;

/** @throws Error for what Scheduler cannot keep: it counts whole minutes */
export const rateOf = (everyMs: number): string => {
  const minutes = everyMs / MINUTE_MS;
  if (!Number.isInteger(minutes) || minutes < 1)
    throw new Error(`a schedule runs every whole minutes, not every ${everyMs} ms`);
  return minutes === 1 ? 'rate(1 minute)' : `rate(${minutes} minutes)`;
};

class Schedule extends Construct {
  constructor(scope: Construct, spec: ScheduleSpec, lambda: LambdaFunction, group: CfnScheduleGroup) {
    super(scope, pascal(spec.name));
    const queue = deadLetterQueue(this, 'DeadLetters');
    const role = new Role(this, 'Role', {
      description: `Agent Village: starts ${spec.function} by the clock`,
      /** Scheduler checks the role when the schedule is made, with the group as source. */
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
        conditions: {
          StringEquals: { 'aws:SourceAccount': Stack.of(this).account },
          ArnEquals: { 'aws:SourceArn': group.attrArn },
        },
      }),
    });
    role.addToPolicy(new PolicyStatement({ actions: ['lambda:InvokeFunction'], resources: [lambda.functionArn] }));
    role.addToPolicy(new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [queue.queueArn] }));
    new CfnSchedule(this, 'Schedule', {
      description: `Agent Village: ${spec.name}`,
      groupName: group.ref,
      scheduleExpression: rateOf(spec.everyMs),
      flexibleTimeWindow: { mode: 'OFF' },
      target: {
        arn: lambda.functionArn,
        roleArn: role.roleArn,
        deadLetterConfig: { arn: queue.queueArn },
        /** The next turn comes soon and does the same: a late one would only run beside it. */
        retryPolicy: { maximumRetryAttempts: 0, maximumEventAgeInSeconds: MIN_EVENT_AGE_SEC },
      },
    }).node.addDependency(role);
  }
}

export class Schedules extends Construct {
  constructor(
    scope: Construct,
    id: string,
    specs: readonly ScheduleSpec[],
    functions: ByName<FunctionName, LambdaFunction>,
  ) {
    super(scope, id);
    const group = new CfnScheduleGroup(this, 'Group', {});
    for (const spec of specs) new Schedule(this, spec, functions.get(spec.function), group);
  }
}
