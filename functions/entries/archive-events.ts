/** The archive, every minute. A run in which a session's log could not be archived fails, so that an alarm sees it. */
import type { Context } from 'aws-lambda';
import { platform } from '../aws/platform.ts';
import { countMetric, logUnexpected, observed } from '../middleware/observe.ts';
import { archiveFinished } from '../streams/archive-finished.ts';

export const handler = observed(async (_event: unknown, context: Context) => {
  const counts = await archiveFinished({ ...platform(), onError: (_ref, error) => logUnexpected(error, context) });
  countMetric('sessionsArchived', counts.archived);
  countMetric('archivesFailed', counts.failed);
  if (counts.failed > 0) throw new Error(`${counts.failed} of ${counts.checked} sessions could not be archived`);
  return counts;
});
