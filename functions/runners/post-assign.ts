/** Gives a runner its session: the pointer to its connection, the assignment, and the start of billable time once it is sent. */
import type { Clock } from '../../shared/clock.ts';
import type { Assign } from '../../shared/frames.ts';
import { LEASE_MS, UPLOAD_GRANT_TTL_MS } from '../../shared/limits.ts';
import type { Database } from '../database.ts';
import type { ObjectStore, PostResult, RunnerSender } from '../sessions/ports.ts';
import { headKey, type SessionMeta, type SessionRef, type StreamHead } from '../sessions/session-store.ts';
import type { Signer } from '../signing.ts';
import type { RunnerLine } from '../streams/runner-line.ts';

export interface AssignPorts {
  readonly db: Database;
  readonly runners: RunnerLine;
  readonly runnerSender: RunnerSender;
  readonly objects: ObjectStore;
  readonly signer: Signer;
  readonly clock: Clock;
}

export interface AssignTarget {
  readonly connectionId: string;
  readonly dial: number;
  /** Of a customer-hosted or warm runner: the capability is good on its connection only. */
  readonly runnerId?: string;
}

const CAPABILITY_TTL_SEC = 26 * 60 * 60;

const checkpointOf = async (ports: AssignPorts, { checkpoint }: SessionMeta): Promise<Assign['checkpoint']> => {
  if (checkpoint === null) return null;
  const { key, sizeBytes, sha256 } = checkpoint;
  return { key, url: await ports.objects.presignGet(key, UPLOAD_GRANT_TTL_MS), sizeBytes, sha256 };
};

const frameOf = async (
  ports: AssignPorts,
  { tenantId, sessionId }: SessionRef,
  meta: SessionMeta,
  runnerId: string | undefined,
): Promise<Assign> => {
  const { epoch } = meta;
  const expSec = Math.floor(ports.clock.nowMs() / 1_000) + CAPABILITY_TTL_SEC;
  const bound = runnerId === undefined ? {} : { runnerId };
  return {
    type: 'assign',
    sessionId,
    epoch,
    config: meta.config,
    capability: await ports.signer.sign({ kind: 'capability', tenantId, sessionId, epoch, ...bound, expSec }),
    taskDefinition: meta.taskDefinition,
    checkpoint: await checkpointOf(ports, meta),
    ranMs: meta.ranMs,
  };
};

/**
 * Billable time starts when the runner of an epoch is first known to be there, on the server's clock. The lease lasts until its first
 * batch is due: a runner that came just in time is not reaped for having been late.
 */
export const markAssigned = async (
  ports: Pick<AssignPorts, 'db' | 'clock'>,
  ref: SessionRef,
  head: Pick<StreamHead, 'epoch' | 'leaseUntilMs'>,
): Promise<void> => {
  const nowMs = ports.clock.nowMs();
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: { assignedAtMs: nowMs, leaseUntilMs: Math.max(head.leaseUntilMs, nowMs + LEASE_MS) },
    conditions: [
      { attr: 'epoch', op: '=', value: head.epoch },
      { attr: 'open', op: '=', value: true },
      { attr: 'assignedAtMs', op: '=', value: null },
    ],
  });
};

/** May be repeated until the first batch of the epoch shows that it was taken. */
export const postAssign = async (
  ports: AssignPorts,
  to: AssignTarget,
  ref: SessionRef,
  meta: SessionMeta,
): Promise<PostResult> => {
  const [frame] = await Promise.all([
    frameOf(ports, ref, meta, to.runnerId),
    ports.runners.set(ref, { connectionId: to.connectionId, epoch: meta.epoch, dial: to.dial }),
  ]);
  return ports.runnerSender.post(to.connectionId, frame);
};
