/** The events table's stream: committed events on their way to people who watch. */
import type { Context } from 'aws-lambda';
import { platform } from '../aws/platform.ts';
import { imagesOf, type StreamEvent } from '../aws/stream-images.ts';
import { logUnexpected, observed } from '../middleware/observe.ts';
import { fanOutEvents } from '../streams/fan-out-events.ts';

export const handler = observed(async (event: StreamEvent, context: Context) => {
  const onError = (_row: string, error: unknown) => logUnexpected(error, context);
  await fanOutEvents({ ...platform(), onError }, imagesOf(event));
});
