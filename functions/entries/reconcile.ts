/** Tasks without a session, every minute. A run that could not look at every task fails, so that an alarm sees it. */
import type { Context } from 'aws-lambda';
import { platform } from '../aws/platform.ts';
import { countMetric, logUnexpected, observed } from '../middleware/observe.ts';
import { reconcile } from '../sessions/reconcile.ts';

export const handler = observed(async (_event: unknown, context: Context) => {
  const counts = await reconcile({ ...platform(), onError: (_task, error) => logUnexpected(error, context) });
  countMetric('orphanTasksStopped', counts.stopped);
  countMetric('reconcilesFailed', counts.failed);
  if (counts.failed > 0 || !counts.complete)
    throw new Error(`${counts.failed} of ${counts.checked} tasks failed; all looked at: ${counts.complete}`);
  return counts;
});
