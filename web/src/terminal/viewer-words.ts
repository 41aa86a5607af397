/** How a viewer is called: by name and device, and "you" for oneself. */
import type { Presence } from '../../../shared/session.ts';

export const viewerName = (viewer: Presence | undefined): string => viewer?.userId ?? 'somebody';
/** `grace (Safari on an iPhone)`; the device alone tells two windows of one person apart. */
export const viewerWords = (viewer: Presence): string =>
  viewer.device === '' ? viewer.userId : `${viewer.userId} (${viewer.device})`;

/** Whoever leads first, then oneself, then by arrival. */
export const inOrder = (
  presence: readonly Presence[],
  controllerId: string | null,
  ownId: string,
): readonly Presence[] => {
  const rank = ({ viewerId }: Presence): number => (viewerId === controllerId ? 0 : viewerId === ownId ? 1 : 2);
  return [...presence].sort((a, b) => rank(a) - rank(b) || a.sinceMs - b.sinceMs);
};
