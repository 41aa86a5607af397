/** How a viewer is called: others by name and device, oneself "you", also in another window. */
import type { Presence } from '../../../shared/session.ts';

type Person = Pick<Presence, 'userId' | 'device'>;

/** `grace` or `your other window`. */
export const viewerName = (viewer: Person, own: Person | undefined): string =>
  viewer.userId === own?.userId ? 'your other window' : viewer.userId;
/** With the device, which alone tells two windows of one person apart. */
export const viewerWords = (viewer: Person, own: Person | undefined): string =>
  viewer.device === '' ? viewerName(viewer, own) : `${viewerName(viewer, own)} (${viewer.device})`;

/** Whoever leads first, then oneself, then by arrival. */
export const inOrder = (
  presence: readonly Presence[],
  controllerId: string | null,
  ownId: string,
): readonly Presence[] => {
  const rank = ({ viewerId }: Presence): number => (viewerId === controllerId ? 0 : viewerId === ownId ? 1 : 2);
  return [...presence].sort((a, b) => rank(a) - rank(b) || a.sinceMs - b.sinceMs);
};
