/** What keeps an agent apart from the village it runs in, in the words that page and command line both use. */
import type { EventOf, SessionEvent } from './events.ts';

export const ISOLATION_WORDS: Readonly<Record<EventOf<'provider_started'>['isolation'], string>> = {
  own_uid: 'runs as a user of its own',
  shared_uid: "shares the village's user: it can read what that user can read",
};

/** From `provider_started`, which is among the first events of a session; `null` before it. */
export const isolationWords = (events: readonly SessionEvent[]): string | null => {
  const started = events.findLast((event) => event.type === 'provider_started');
  return started === undefined ? null : ISOLATION_WORDS[started.isolation];
};
