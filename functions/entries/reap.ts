/** The reaper, every minute. A run in which a session could not be looked at fails, so that an alarm sees it. */
import type { Context } from 'aws-lambda';
import { platform } from '../aws/platform.ts';
import { countMetric, logUnexpected, observed } from '../middleware/observe.ts';
import { type ReapCuts, reap } from '../sessions/reap.ts';

/** After a cold start the first run begins at the front. */
const cuts: ReapCuts = new Map();

export const handler = observed(async (_event: unknown, context: Context) => {
  const counts = await reap({ ...platform(), onError: (_ref, error) => logUnexpected(error, context) }, cuts);
  countMetric('sessionsReaped', counts.closed);
  countMetric('sessionsContinued', counts.continued);
  countMetric('reapsFailed', counts.failed);
  if (counts.failed > 0) throw new Error(`${counts.failed} of ${counts.checked} sessions could not be checked`);
  return counts;
});
