/**
 * Forgets runners that are long gone once there are many of them: machines that come and go leave a row each, which every placement
 * reads. With the row goes the credential, so that one that comes back after all is refused with what to do.
 */
import { RUNNERS_DEAD_KEPT_MAX, RUNNERS_FORGOTTEN_AT_ONCE } from '../../shared/limits.ts';
import type { Database, Item, Write } from '../database.ts';
import { canCome, Host, hostKey, isCounted } from './host-store.ts';
import { credentialKey } from './runner-credentials.ts';

const isExpired = ({ expiresAtSec }: Host, nowMs: number): boolean => expiresAtSec * 1_000 <= nowMs;
const goneSinceMs = ({ lastSeenMs, registeredAtMs }: Host): number => lastSeenMs ?? registeredAtMs;

/** Those that cannot come back before those that can, then the longest gone. */
const inOrder = (hosts: readonly Host[], nowMs: number): Host[] => {
  const rankOf = (host: Host): number => (canCome(host, nowMs) && !isExpired(host, nowMs) ? 1 : 0);
  return [...hosts].sort((a, b) => rankOf(a) - rankOf(b) || goneSinceMs(a) - goneSinceMs(b));
};

/** Nothing of it happens where the runner has come back, or been given a session, since it was read. */
const forgotten = (host: Host): Write[] => [
  {
    kind: 'delete',
    table: 'runners',
    key: hostKey(host),
    conditions: [
      { attr: 'dial', op: '=', value: host.dial },
      { attr: 'lastSeenMs', op: '=', value: host.lastSeenMs },
      { attr: 'isRevoked', op: '=', value: host.isRevoked },
      { attr: 'live', op: '<=', value: 0 },
    ],
  },
  { kind: 'delete', table: 'runners', key: credentialKey({ kind: 'group', ...host }) },
];

/** @param rows every one of the tenant, as read */
export const forgetRunners = async (db: Database, rows: readonly Item[], nowMs: number): Promise<void> => {
  const hosts = rows.flatMap((row) => (row.group === undefined ? [] : Host.parse(row)));
  const dead = hosts.filter((host) => host.live <= 0 && (isExpired(host, nowMs) || !isCounted(host, nowMs)));
  const excess = Math.min(dead.length - RUNNERS_DEAD_KEPT_MAX, RUNNERS_FORGOTTEN_AT_ONCE);
  for (const host of inOrder(dead, nowMs).slice(0, Math.max(0, excess))) await db.transact(forgotten(host));
};
