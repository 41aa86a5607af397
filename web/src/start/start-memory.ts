/** Keeps what a start asked for, in this tab only: Retry after a failed start needs the same body, prompt included. */
import { StartSessionBody } from '../../../shared/http.ts';

/** The part of Storage used here. */
export type TextStore = Pick<Storage, 'getItem' | 'setItem'>;
const keyOf = (sessionId: string): string => `village.start.${sessionId}`;

export const rememberStart = (store: TextStore, sessionId: string, body: StartSessionBody): void => {
  try {
    store.setItem(keyOf(sessionId), JSON.stringify(body));
  } catch {
    // A full or closed store only costs the Retry button its body; the form is offered instead.
  }
};

export const recallStart = (store: TextStore, sessionId: string): StartSessionBody | null => {
  const text = store.getItem(keyOf(sessionId));
  if (text === null) return null;
  try {
    const parsed = StartSessionBody.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    // Written by another version of the page: as if it were not there.
    return null;
  }
};
