/** A runner says hello: the pointer moves to its connection, it learns what was committed and asked, and gets its session. */
import type { Clock } from '../../shared/clock.ts';
import type { ControlToRunnerFrame, FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { LEASE_MS } from '../../shared/limits.ts';
import type { Database } from '../database.ts';
import type { RunnerSender } from '../sessions/ports.ts';
import {
  headKey,
  type SessionRecord,
  type SessionRef,
  type SessionStore,
  type StreamHead,
} from '../sessions/session-store.ts';
import type { Signer } from '../signing.ts';
import type { RunnerLine } from '../streams/runner-line.ts';
import { type WatcherStore, watcherListOf } from '../streams/watchers.ts';
import type { RunnerConnection } from './handle-runner-frame.ts';
import type { RunnerStore } from './runner-store.ts';

export interface HelloPorts {
  readonly db: Database;
  readonly sessions: SessionStore;
  readonly watchers: WatcherStore;
  readonly runners: RunnerLine;
  readonly runnerStore: RunnerStore;
  readonly runnerSender: RunnerSender;
  readonly signer: Signer;
  readonly clock: Clock;
}

const CAPABILITY_TTL_SEC = 26 * 60 * 60;

/**
 * Billable time starts with the first hello of an epoch, on the server's clock. The lease lasts until its first batch is due: a
 * runner that came just in time is not reaped for having been late.
 */
const markAssigned = async (ports: HelloPorts, ref: SessionRef, head: StreamHead): Promise<void> => {
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

/** Repeated at each hello until the first batch of the epoch shows that it was taken. */
const assign = async (ports: HelloPorts, who: RunnerConnection, { meta }: SessionRecord): Promise<void> => {
  const expSec = Math.floor(ports.clock.nowMs() / 1_000) + CAPABILITY_TTL_SEC;
  const { tenantId, sessionId, epoch } = who;
  await ports.runnerSender.post(who.connectionId, {
    type: 'assign',
    sessionId,
    epoch,
    config: meta.config,
    capability: await ports.signer.sign({ kind: 'capability', tenantId, sessionId, epoch, expSec }),
    taskDefinition: meta.taskDefinition,
    checkpoint: null,
    ranMs: 0,
  });
};

export const greet = async (
  ports: HelloPorts,
  who: RunnerConnection,
  frame: FrameOf<RunnerFrame, 'hello'>,
): Promise<ControlToRunnerFrame> => {
  const ref: SessionRef = { tenantId: who.tenantId, sessionId: who.sessionId };
  const { epoch } = who;
  const record = await ports.sessions.record(ref);
  const current = record !== null && record.head.epoch === epoch && record.head.open;
  /** A lower dial that arrives late changes nothing; its socket is about to close. */
  if (current) await ports.runners.set(ref, { connectionId: who.connectionId, epoch, dial: frame.dial });
  if (record === null) return { type: 'welcome', dial: frame.dial, sessions: [], desired: 'serve' };
  if (current) {
    await Promise.all([
      markAssigned(ports, ref, record.head),
      ports.runnerStore.connected({
        ...who,
        runnerId: frame.runnerId,
        runnerVersion: frame.runnerVersion,
        buildId: frame.buildId,
      }),
    ]);
    if (record.head.ackedRseq === 0) await assign(ports, who, record);
  }
  const { head } = record;
  return {
    type: 'welcome',
    dial: frame.dial,
    sessions: [
      {
        sessionId: ref.sessionId,
        epoch,
        ackedRseq: head.epoch === epoch ? head.ackedRseq : 0,
        open: current,
        desired: { desired: head.desired, rev: head.desiredRev },
        decisions: [],
        watchers: watcherListOf(await ports.watchers.read(ref)),
        grants: [],
      },
    ],
    desired: 'serve',
  };
};
