/** The runners table's stream, of removed rows only: places, claims and revocations. */
import type { Context } from 'aws-lambda';
import { platform } from '../aws/platform.ts';
import { removedKeysOf, type StreamEvent } from '../aws/stream-images.ts';
import { logUnexpected, observed } from '../middleware/observe.ts';
import { runnersChanged } from '../runners/runner-changes.ts';

export const handler = observed(async (event: StreamEvent, context: Context) => {
  const onError = (_what: string, error: unknown) => logUnexpected(error, context);
  await runnersChanged({ ...platform(), onError }, removedKeysOf(event));
});
