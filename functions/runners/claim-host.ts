/** Claims a place on a customer-hosted runner for an epoch, in one transaction, and tells the runner. */
import { START_TIMEOUT_MS } from '../../shared/limits.ts';
import type { SessionConfig } from '../../shared/session.ts';
import { claimUndone, runnerClaimed, stillOn } from '../sessions/placement-writes.ts';
import type { SessionRecord, SessionRef, SessionStore } from '../sessions/session-store.ts';
import { type Queued, queuePut, queueTaken } from './group-queue.ts';
import { type Host, hasPlace, placeGivenBack, placeTaken } from './host-store.ts';
import { type AssignPorts, markAssigned, postAssign } from './post-assign.ts';

export interface ClaimPorts extends AssignPorts {
  readonly sessions: SessionStore;
}

/** `lost`: somebody else was faster, or the runner changed: read again. */
export type ClaimResult = 'placed' | 'lost';

const loadOf = ({ live, capacity }: Host): number => live / capacity;

/** The least loaded that has the CLI; `null` when none has a place. */
export const chooseHost = (hosts: readonly Host[], provider: SessionConfig['provider'], nowMs: number): Host | null =>
  hosts
    .filter((host) => hasPlace(host, nowMs) && host.clis[provider] !== undefined)
    .reduce<Host | null>((best, host) => (best === null || loadOf(host) < loadOf(best) ? host : best), null);

const placementOn = ({ runnerId, group }: Host) => ({ kind: 'group', runnerId, group }) as const;

/** What runs it is the runner's own: its build and its CLI are named as it reported them. */
const reportedBy = (host: Host, config: SessionConfig) => ({
  buildId: host.buildId,
  cliVersion: host.clis[config.provider] ?? 'unknown',
  taskDefinition: '',
});

/**
 * The way to the gone connection goes first: whoever takes the epoch then sets its own, maybe with a lower dial.
 * @returns whether the place was given back; a runner that came back on another connection keeps it, and is told there
 */
const undo = async (
  ports: ClaimPorts,
  ref: SessionRef,
  epoch: number,
  host: Host & { readonly connectionId: string },
  queued: Queued | null,
): Promise<boolean> => {
  await ports.runners.clear(ref, host.connectionId);
  const [count, held] = placeGivenBack(host, ref.sessionId, ports.clock.nowMs());
  const undoOn = async (connectionId: string | null): Promise<boolean> => {
    const undone = await ports.db.transact([
      { ...count, set: { connectionId: null }, conditions: stillOn({ connectionId, dial: host.dial }) },
      held,
      ...claimUndone(ref, epoch, placementOn(host), queued === null ? {} : { queuePosition: 1 }),
      ...(queued === null ? [] : [queuePut(ref, queued)]),
    ]);
    return undone.ok;
  };
  /** Its disconnect may have been written before the post found it gone. */
  return (await undoOn(host.connectionId)) || undoOn(null);
};

/** @param queued where the session stands in the queue: it leaves it with the claim */
export const claimHost = async (
  ports: ClaimPorts,
  ref: SessionRef,
  record: SessionRecord,
  host: Host,
  queued: Queued | null,
): Promise<ClaimResult> => {
  const { epoch } = record.head;
  const { connectionId, dial, runnerId } = host;
  if (connectionId === null) return 'lost';
  const nowMs = ports.clock.nowMs();
  const meta = reportedBy(host, record.meta.config);
  const claimed = await ports.db.transact([
    ...placeTaken(host, ref.sessionId, epoch),
    ...runnerClaimed(ref, record, placementOn(host), meta, nowMs),
    ...(queued === null ? [] : [queueTaken(ref, epoch)]),
  ]);
  if (!claimed.ok) return 'lost';
  const posted = await postAssign(ports, { connectionId, dial, runnerId }, ref, {
    ...record.meta,
    ...meta,
    config: { ...record.meta.config, buildId: host.buildId },
  });
  if (posted === 'gone') return (await undo(ports, ref, epoch, { ...host, connectionId }, queued)) ? 'lost' : 'placed';
  /** What is not surely sent may have arrived all the same: the runner is asked again at its next status or hello. */
  if (posted === 'sent') await markAssigned(ports, ref, { epoch, leaseUntilMs: nowMs + START_TIMEOUT_MS });
  return 'placed';
};
