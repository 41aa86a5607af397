/** Claims an idle runner of the build for an epoch by a conditional write, and tells it on the connection that it waits on. */
import { START_TIMEOUT_MS } from '../../shared/limits.ts';
import { claimUndone, runnerClaimed, stillOn } from '../sessions/placement-writes.ts';
import type { SessionRecord, SessionRef } from '../sessions/session-store.ts';
import { type AssignPorts, markAssigned, postAssign } from './post-assign.ts';
import { connectedPut } from './runner-store.ts';
import { firstIdle, type IdleRunner, idleKey, warmKey } from './warm-store.ts';

/** `none`: nobody waits; `lost`: another start got it, or it was gone. */
export type WarmClaim = 'placed' | 'lost' | 'none';

const placementOn = ({ runnerId, taskArn }: IdleRunner) => ({ kind: 'warm', runnerId, taskArn }) as const;

/** As of a customer-hosted runner. @returns whether the epoch is free again */
const undo = async (ports: AssignPorts, ref: SessionRef, epoch: number, idle: IdleRunner): Promise<boolean> => {
  await ports.runners.clear(ref, idle.connectionId);
  const undoOn = async (connectionId: string | null): Promise<boolean> => {
    const undone = await ports.db.transact([
      {
        kind: 'update',
        table: 'runners',
        key: warmKey(idle.runnerId),
        set: { state: 'ending', claimedFor: null, connectionId: null, endingAtMs: ports.clock.nowMs() },
        conditions: [{ attr: 'state', op: '=', value: 'claimed' }, ...stillOn({ connectionId, dial: idle.dial })],
      },
      ...claimUndone(ref, epoch, placementOn(idle), {}),
    ]);
    return undone.ok;
  };
  return (await undoOn(idle.connectionId)) || undoOn(null);
};

const claimIdle = async (
  ports: AssignPorts,
  ref: SessionRef,
  record: SessionRecord,
  idle: IdleRunner,
  nowMs: number,
): Promise<boolean> => {
  const { epoch } = record.head;
  const { runnerId, connectionId, taskArn, runnerVersion } = idle;
  const { buildId } = record.meta.config;
  const claimed = await ports.db.transact([
    {
      kind: 'delete',
      table: 'runners',
      key: idleKey({ runnerId, buildId }),
      conditions: [{ attr: 'connectionId', op: '=', value: connectionId }],
    },
    {
      kind: 'update',
      table: 'runners',
      key: warmKey(runnerId),
      set: { state: 'claimed', claimedFor: { ...ref, epoch } },
      conditions: [{ attr: 'state', op: '=', value: 'idle' }],
    },
    ...runnerClaimed(ref, record, placementOn(idle), { taskArn }, nowMs),
    connectedPut('warm', { ...ref, epoch, connectionId, runnerId, runnerVersion, buildId }, nowMs),
  ]);
  return claimed.ok;
};

/** @param from shard to begin with */
export const claimWarm = async (
  ports: AssignPorts,
  ref: SessionRef,
  record: SessionRecord,
  from: number,
): Promise<WarmClaim> => {
  const idle = await firstIdle(ports.db, record.meta.config.buildId, from);
  if (idle === null) return 'none';
  const nowMs = ports.clock.nowMs();
  if (!(await claimIdle(ports, ref, record, idle, nowMs))) return 'lost';
  const { epoch } = record.head;
  const posted = await postAssign(ports, idle, ref, record.meta);
  if (posted === 'gone') return (await undo(ports, ref, epoch, idle)) ? 'lost' : 'placed';
  /** What is not surely sent may have arrived all the same: the runner is asked again at its next status or hello. */
  if (posted === 'sent') await markAssigned(ports, ref, { epoch, leaseUntilMs: nowMs + START_TIMEOUT_MS });
  return 'placed';
};
