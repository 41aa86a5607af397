/** The warm pool, every minute. A run in which a task could not be looked after fails, so that an alarm sees it. */
import type { Context } from 'aws-lambda';
import { platform } from '../aws/platform.ts';
import { countMetric, logUnexpected, observed } from '../middleware/observe.ts';
import { fillWarmPool } from '../runners/fill-warm-pool.ts';

export const handler = observed(async (_event: unknown, context: Context) => {
  const counts = await fillWarmPool({ ...platform(), onError: (_runner, error) => logUnexpected(error, context) });
  countMetric('warmTasksLaunched', counts.launched);
  countMetric('warmTasksFailed', counts.failed);
  if (counts.failed > 0) throw new Error(`${counts.failed} tasks or builds of the warm pool could not be looked after`);
  return counts;
});
