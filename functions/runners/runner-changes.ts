/**
 * What follows a change of the runners: a place that was given back goes to whoever waits for it, a claimed task of the warm pool is
 * replaced, a revocation whose call died is finished. From the table's stream, so that it does not matter who closed, claimed or revoked.
 */
import type { Key } from '../database.ts';
import type { ClaimPorts } from './claim-host.ts';
import { type EndPorts, finishRevocation } from './end-runner.ts';
import { fillWarmPool, type WarmPoolPorts } from './fill-warm-pool.ts';
import { readHost } from './host-store.ts';
import { dispatchQueue } from './place-on-group.ts';

export interface ChangePorts extends ClaimPorts, EndPorts, Omit<WarmPoolPorts, 'onError'> {
  readonly db: ClaimPorts['db'];
  readonly clock: ClaimPorts['clock'];
  readonly runnerSender: ClaimPorts['runnerSender'];
  readonly onError: (what: string, error: unknown) => void;
}

type Change =
  | { readonly kind: 'place_free'; readonly tenantId: string; readonly runnerId: string }
  | { readonly kind: 'credential_gone'; readonly tenantId: string; readonly runnerId: string }
  | { readonly kind: 'idle_gone' };

/** Pure: what the removal of a row means; `null` for one that nobody waits for. */
export const changeOf = ({ pk, sk }: Key): Change | null => {
  const tenantId = /^T#([^#]+)/.exec(pk)?.[1];
  const held = /^ASSIGN#(?<runnerId>[^#]+)#/.exec(sk)?.groups?.runnerId;
  if (tenantId !== undefined && held !== undefined) return { kind: 'place_free', tenantId, runnerId: held };
  const revoked = /^T#[^#]+#H#(?<runnerId>.+)$/.exec(pk)?.groups?.runnerId;
  if (tenantId !== undefined && revoked !== undefined && sk === 'CREDENTIAL')
    return { kind: 'credential_gone', tenantId, runnerId: revoked };
  return pk.startsWith('IDLE#') ? { kind: 'idle_gone' } : null;
};

const follow = async (ports: ChangePorts, change: Change): Promise<void> => {
  if (change.kind === 'idle_gone') {
    await fillWarmPool({ ...ports, onError: ports.onError });
    return;
  }
  if (change.kind === 'credential_gone') return finishRevocation(ports, change);
  const host = await readHost(ports.db, change, ports.clock.nowMs());
  if (host !== null) await dispatchQueue(ports, host.tenantId, host.group);
};

/**
 * What fails is reported and left to the clock: the reaper asks for every queued session again, the pool is filled every minute. A
 * revocation is thrown instead, so that its record comes again.
 * @param removed keys of rows that are gone
 */
export const runnersChanged = async (ports: ChangePorts, removed: readonly Key[]): Promise<void> => {
  const changes = new Map(
    removed.flatMap((key) => {
      const change = changeOf(key);
      return change === null ? [] : [[JSON.stringify(change), change]];
    }),
  );
  for (const [name, change] of changes) {
    try {
      await follow(ports, change);
    } catch (error) {
      if (change.kind === 'credential_gone') throw error;
      ports.onError(name, error);
    }
  }
};
