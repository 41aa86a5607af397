/** Logger, metrics and tracer of every entry, and the one place where an unknown error is logged. */
import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { Tracer } from '@aws-lambda-powertools/tracer';
import { captureLambdaHandler } from '@aws-lambda-powertools/tracer/middleware';
import middy from '@middy/core';
import type { Context, Handler } from 'aws-lambda';
import { METRIC_NAMESPACE, METRICS, type MetricName } from '../../shared/metrics.ts';

export const logger = new Logger();
const metrics = new Metrics({ namespace: METRIC_NAMESPACE });
const tracer = new Tracer();

export const countMetric = (metric: MetricName, value = 1): void => {
  metrics.addMetric(METRICS[metric].name, MetricUnit.Count, value);
};

/** Logged once, with the request id and without the event: events carry tokens. */
export const logUnexpected = (error: unknown, context: Pick<Context, 'awsRequestId' | 'functionName'>): void => {
  logger.error('unexpected error', {
    requestId: context.awsRequestId,
    functionName: context.functionName,
    error: error instanceof Error ? error : String(error),
  });
};

/** Returns nothing: middy takes a value for the answer. */
const publish = (): void => {
  if (metrics.hasStoredMetrics()) metrics.publishStoredMetrics();
};
const flushMetrics = () => ({ after: publish, onError: publish });

/** Wraps an entry. The wrapped handler is what the entry exports, so that tests meet what Lambda meets. */
export const observed = <Event, Result>(
  run: (event: Event, context: Context) => Promise<Result>,
): Handler<Event, Result> => {
  const wrapped = middy<Event, Result>()
    .use(captureLambdaHandler(tracer, { captureResponse: false }))
    .use(flushMetrics())
    .handler(async (event, context) => run(event, context));
  return wrapped as unknown as Handler<Event, Result>;
};
