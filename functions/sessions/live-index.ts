/** The sparse index of sessions that somebody must look at: over shards, so that no partition takes all of a cell's writes. */
import { LIVE_INDEX_SHARDS } from '../../shared/limits.ts';

export const liveShardOf = (sessionId: string): string => {
  let sum = 0;
  for (const char of sessionId) sum = (sum * 31 + char.charCodeAt(0)) % 65_536;
  return `LIVE#${sum % LIVE_INDEX_SHARDS}`;
};
