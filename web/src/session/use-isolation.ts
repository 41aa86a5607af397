/** How the agent is kept apart, said by one of its first events: from the log, or asked for when the log begins later. */
import { useQuery } from '@tanstack/react-query';
import { isolationWords } from '../../../shared/isolation.ts';
import { fetchEvents } from '../api/queries.ts';
import type { SessionEvents } from './use-events.ts';

const FIRST_EVENTS = 200;

/** `null` until the agent was started. */
export const useIsolation = (sessionId: string, log: Pick<SessionEvents, 'events' | 'hasOlder'>): string | null => {
  const known = isolationWords(log.events);
  const first = useQuery({
    queryKey: ['first-events', sessionId],
    queryFn: ({ signal }) => fetchEvents(sessionId, 1, FIRST_EVENTS, signal),
    enabled: known === null && log.hasOlder,
    staleTime: Number.POSITIVE_INFINITY,
  });
  return known ?? (first.data === undefined ? null : isolationWords(first.data.events));
};
