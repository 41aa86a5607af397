/** What follows a closing that was no end, from the stream of the sessions table: the next epoch of each session that was suspended. */
import type { Item } from '../database.ts';
import { type Continued, continueSession } from './continue-session.ts';
import type { PlacePorts } from './place-epoch.ts';
import { refOfKey, type SessionRef } from './session-store.ts';

export interface ContinuePorts extends PlacePorts {
  readonly onError: (ref: SessionRef, error: unknown) => void;
}

/**
 * A session that fails is reported and left to the reaper, which tries it again later: a batch that came again at once would ask a
 * throttled ECS again at once, and hold up its shard.
 * @param images new images of the sessions table
 */
export const continueSuspended = async (
  ports: ContinuePorts,
  images: readonly Item[],
): Promise<{ continued: number; failed: number }> => {
  const counts = { continued: 0, failed: 0 };
  const done: ReadonlySet<Continued> = new Set(['raised', 'placed', 'ended']);
  for (const image of images) {
    const ref = image.sk === 'META' && image.isSuspended === true ? refOfKey(image) : null;
    if (ref === null) continue;
    try {
      if (done.has(await continueSession(ports, ref))) counts.continued += 1;
    } catch (error) {
      counts.failed += 1;
      ports.onError(ref, error);
    }
  }
  return counts;
};
