/** Keys of objects as items hold them: without what those of a session all begin with, since each begun KiB of an item is paid for. */
import type { Item } from '../database.ts';

interface Owner {
  readonly tenantId: string;
  readonly sessionId: string;
}

/** Everything a session stores lies below it. */
export const objectPrefix = ({ tenantId, sessionId }: Owner) => `tenants/${tenantId}/sessions/${sessionId}`;

const isKeyed = (value: unknown): value is { key: string } =>
  typeof value === 'object' && value !== null && 'key' in value && typeof value.key === 'string';

const withKeys = (set: Item, change: (key: string) => string): Item => {
  const { diffKey, previousCheckpointKey, checkpoint } = set;
  return {
    ...set,
    ...(typeof diffKey === 'string' ? { diffKey: change(diffKey) } : {}),
    ...(typeof previousCheckpointKey === 'string' ? { previousCheckpointKey: change(previousCheckpointKey) } : {}),
    ...(isKeyed(checkpoint) ? { checkpoint: { ...checkpoint, key: change(checkpoint.key) } } : {}),
  };
};

export const withShortKeys = (owner: Owner, set: Item): Item =>
  withKeys(set, (key) => (key.startsWith(`${objectPrefix(owner)}/`) ? key.slice(objectPrefix(owner).length) : key));

/** Of items from before keys were shortened, which hold them whole, too. */
export const withWholeKeys = (owner: Owner | null, item: Item): Item =>
  owner === null ? item : withKeys(item, (key) => (key.startsWith('/') ? `${objectPrefix(owner)}${key}` : key));
