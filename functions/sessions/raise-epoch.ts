/**
 * Opens the next epoch of a session whose last one was closed: before anything is asked for, in one transaction on the closed head, so
 * that any number of callers raise it once. Only here does a live state become `created` again.
 */
import { PLACE_RETRY_MS, START_TIMEOUT_MS } from '../../shared/limits.ts';
import type { StateReason } from '../../shared/session.ts';
import { ZERO_USAGE } from '../../shared/usage.ts';
import { credentialPut, deriveStartToken } from '../runners/runner-credentials.ts';
import { type Append, type AppendPorts, appendEvents } from '../streams/append-events.ts';
import { decideContinue } from './decide-continue.ts';
import { liveShardOf } from './live-index.ts';
import { epochKey, type SessionRecord, type SessionRef } from './session-store.ts';

export interface RaisePorts extends AppendPorts {
  readonly signingKey: () => Promise<Uint8Array>;
}

const RESUMED: StateReason = { code: 'resumed', message: 'It goes on on another runner.' };

const planEpoch = (ref: SessionRef, { head, meta }: SessionRecord, signingKey: Uint8Array, nowMs: number): Append => {
  const epoch = head.epoch + 1;
  const scope = { ...ref, epoch };
  return {
    raisesEpoch: epoch,
    events: [{ type: 'session_resumed', fromEpoch: head.epoch, checkpointKey: meta.checkpoint?.key ?? null }],
    head: {
      epoch,
      open: true,
      state: 'created',
      ackedRseq: 0,
      offset: 0,
      recent: [],
      assignedAtMs: null,
      leaseUntilMs: nowMs + START_TIMEOUT_MS,
      progressed: false,
      runningAtMs: null,
      placement: null,
    },
    meta: {
      epoch,
      state: 'created',
      reason: RESUMED,
      offset: 0,
      taskArn: null,
      placement: null,
      queuePosition: null,
      usage: ZERO_USAGE,
      isSuspended: false,
      isParked: false,
      liveShard: liveShardOf(ref.sessionId),
      nextCheckAtMs: nowMs + PLACE_RETRY_MS,
    },
    writes: [
      {
        kind: 'put',
        table: 'sessions',
        item: { ...epochKey(ref, epoch), epoch, openedAtMs: nowMs },
        conditions: [{ attr: 'pk', is: 'absent' }],
      },
      credentialPut(scope, deriveStartToken(signingKey, scope), nowMs),
    ],
  };
};

/** @returns whether this call raised it */
export const raiseEpoch = async (ports: RaisePorts, ref: SessionRef): Promise<boolean> => {
  const signingKey = await ports.signingKey();
  const result = await appendEvents(ports, ref, (record, nowMs) =>
    decideContinue(record, nowMs).action === 'raise' ? planEpoch(ref, record, signingKey, nowMs) : null,
  );
  return result !== null && result.appended.length > 0;
};
