/** How long logs are kept, in one place. */
import { RemovalPolicy } from 'aws-cdk-lib';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';

export const LOG_RETENTION = RetentionDays.ONE_MONTH;

/** A log group that goes with its stack: what must be kept is in tables and buckets. */
export const logGroup = (scope: Construct, id: string): LogGroup =>
  new LogGroup(scope, id, { retention: LOG_RETENTION, removalPolicy: RemovalPolicy.DESTROY });
