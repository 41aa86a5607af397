/** The sessions table's stream, of suspended sessions only: each goes on in its next epoch. */
import type { Context } from 'aws-lambda';
import { platform } from '../aws/platform.ts';
import { imagesOf, type StreamEvent } from '../aws/stream-images.ts';
import { countMetric, logUnexpected, observed } from '../middleware/observe.ts';
import { continueSuspended } from '../sessions/continue-suspended.ts';

export const handler = observed(async (event: StreamEvent, context: Context) => {
  const onError = (_ref: unknown, error: unknown) => logUnexpected(error, context);
  const counts = await continueSuspended({ ...platform(), onError }, imagesOf(event));
  countMetric('sessionsContinued', counts.continued);
  countMetric('continuesFailed', counts.failed);
});
