/** Pages of the list calls: the token is the index of the next item, which is enough for one process. */
import { EcsError } from './ecs-error.ts';

/** Throws InvalidParameterException for a token that we never gave. */
export const page = <T>(
  all: readonly T[],
  { maxResults, nextToken }: { maxResults: number; nextToken?: string | undefined },
): { items: T[]; nextToken: string | undefined } => {
  const from = nextToken === undefined ? 0 : Number(nextToken);
  if (!Number.isInteger(from) || from < 0) throw new EcsError('InvalidParameterException', 'Invalid nextToken.');
  const end = from + maxResults;
  return { items: all.slice(from, end), nextToken: end < all.length ? String(end) : undefined };
};
