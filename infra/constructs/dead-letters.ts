/** Where deliveries end that no retry could save: one queue per trigger, so that its name says what failed. */
import { Duration } from 'aws-cdk-lib';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';

const KEPT_DAYS = 14;

export const deadLetterQueue = (scope: Construct, id: string): Queue => {
  const queue = new Queue(scope, id, {
    encryption: QueueEncryption.SQS_MANAGED,
    enforceSSL: true,
    retentionPeriod: Duration.days(KEPT_DAYS),
  });
  acknowledge(queue, 'AwsSolutions-SQS3', 'It is the dead-letter queue, of a trigger rather than of a queue.');
  return queue;
};
