/** Frames of a runner: hello, batches of events, terminal output on its way to the viewers. Acks are the route's response, never a post. */
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import {
  API_VIEWER_ID,
  type ControlToRunnerFrame,
  type ControlToViewerFrame,
  type FrameOf,
  type RunnerFrame,
} from '../../shared/frames.ts';
import type { RunnerPrincipal, RunnerScope } from '../../shared/runner-credential.ts';
import { keepAnswer } from '../sessions/api-inputs.ts';
import type { ObjectStore } from '../sessions/ports.ts';
import type { SessionRef } from '../sessions/session-store.ts';
import type { CapabilityClaims, Signer } from '../signing.ts';
import { ingestBatch } from '../streams/ingest-batch.ts';
import type { FanOut } from '../streams/viewer-fan-out.ts';
import { assignRefused } from './assign-refused.ts';
import { revokedError } from './connect-host.ts';
import { groupStatus } from './greet-group.ts';
import { warmStatus } from './greet-warm.ts';
import { greet } from './hello.ts';
import { deleteObsolete, grantsFor } from './upload-grants.ts';
import type { HelloPorts } from './welcome.ts';

export interface RunnerPorts extends HelloPorts {
  readonly objects: ObjectStore;
  readonly fanOut: FanOut;
  readonly signer: Signer;
  readonly clock: Clock;
}

/** Without a kind it is a session's own runner. */
export type RunnerConnection = (RunnerPrincipal | (RunnerScope & { readonly kind?: undefined })) & {
  readonly connectionId: string;
};

/** A revision that no list has: it is read. */
const NEWEST = Number.MAX_SAFE_INTEGER;

/** Whose the session must be, for this connection to speak of it. */
const isOf = (who: RunnerConnection, claims: CapabilityClaims): boolean => {
  switch (who.kind) {
    case 'group':
      return claims.runnerId === who.runnerId && claims.tenantId === who.tenantId;
    case 'warm':
      return claims.runnerId === who.runnerId;
    default:
      return claims.runnerId === undefined && claims.tenantId === who.tenantId && claims.sessionId === who.sessionId;
  }
};

/**
 * The capability must belong to this connection, and the frame to the capability: verified without a read. That a runner was revoked
 * is known by a read; live frames rest on one of a moment ago.
 * @param isStored what the frame says is written down
 */
const scopeOf = async (
  ports: RunnerPorts,
  who: RunnerConnection,
  frame: { capability: string; sessionId: string; epoch: number },
  isStored = false,
): Promise<SessionRef> => {
  const claims = await ports.signer.verify('capability', frame.capability);
  const { tenantId, sessionId, epoch } = claims;
  if (!isOf(who, claims) || frame.sessionId !== sessionId || frame.epoch !== epoch)
    throw new AppError('forbidden', 'This capability belongs to another session.');
  if (who.kind === 'group' && (await ports.runnerStore.isRevoked(who, isStored))) throw revokedError();
  return { tenantId, sessionId };
};

const events = async (
  ports: RunnerPorts,
  who: RunnerConnection,
  frame: FrameOf<RunnerFrame, 'runner_events'>,
): Promise<ControlToRunnerFrame> => {
  const ref = await scopeOf(ports, who, frame, true);
  const result = await ingestBatch(ports, ref, frame);
  if (result === null) throw new AppError('not_found', 'There is no such session.');
  const { sessionId, epoch, firstRseq } = frame;
  if (result.kind === 'nack')
    return { type: 'nack', sessionId, epoch, firstRseq, reason: result.reason, expected: result.expected };
  await deleteObsolete(ports.objects, result.obsoleteKeys);
  return {
    type: 'ack',
    sessionId,
    epoch,
    firstRseq,
    ackedRseq: result.ackedRseq,
    headSeq: result.headSeq,
    ...(result.desired === undefined ? {} : { desired: result.desired }),
    ...(await grantsFor(ports, ref, epoch, frame.uploads)),
  };
};

const answerApiInput = (
  { db }: RunnerPorts,
  ref: SessionRef,
  frame: FrameOf<RunnerFrame, 'input_ack' | 'input_reset'>,
): Promise<void> =>
  frame.type === 'input_ack'
    ? keepAnswer(db, { ref, epoch: frame.epoch, inputSeq: frame.inputSeq }, 'taken')
    : keepAnswer(db, { ref, epoch: frame.epoch, inputSeq: frame.expected }, 'refused');

/** Runner-only fields stay behind: a viewer never sees a capability. */
const forViewer = (
  frame: FrameOf<RunnerFrame, 'terminal_output' | 'terminal_snapshot' | 'head' | 'input_ack' | 'input_reset'>,
): ControlToViewerFrame => {
  const { capability: _capability, ...rest } = frame;
  if (rest.type === 'head') {
    const { viewersRev: _rev, ...head } = rest;
    return head;
  }
  if (rest.type !== 'terminal_output') return rest;
  const { viewersRev: _rev, viewerId: _viewer, ...output } = rest;
  return output;
};

/**
 * @returns what goes back on the same socket, or `null`
 * @throws AppError, which becomes an `error` frame
 */
export const handleRunnerFrame = async (
  ports: RunnerPorts,
  who: RunnerConnection,
  frame: RunnerFrame,
): Promise<ControlToRunnerFrame | null> => {
  switch (frame.type) {
    case 'hello':
      return greet(ports, who, frame);
    case 'runner_events':
      return events(ports, who, frame);
    case 'terminal_output': {
      const ref = await scopeOf(ports, who, frame);
      if (frame.viewerId === undefined) await ports.fanOut.toAll(ref, forViewer(frame), frame.viewersRev);
      else await ports.fanOut.toOne(ref, frame.viewerId, forViewer(frame), frame.viewersRev);
      return null;
    }
    case 'head':
      await ports.fanOut.toAll(await scopeOf(ports, who, frame), forViewer(frame), frame.viewersRev);
      return null;
    /** A viewer that attached again waits for it on a connection that no memory may know yet. */
    case 'terminal_snapshot':
      await ports.fanOut.toOne(await scopeOf(ports, who, frame), frame.viewerId, forViewer(frame), NEWEST);
      return null;
    case 'input_ack':
    case 'input_reset': {
      const isStored = frame.viewerId === API_VIEWER_ID;
      const ref = await scopeOf(ports, who, frame, isStored);
      if (isStored) await answerApiInput(ports, ref, frame);
      else await ports.fanOut.toOne(ref, frame.viewerId, forViewer(frame), 0);
      return null;
    }
    case 'runner_status':
      if (who.kind === 'group') await groupStatus(ports, who, frame);
      if (who.kind === 'warm') await warmStatus(ports, who);
      return { type: 'pong', ts: frame.ts, heads: [] };
    case 'assign_refused':
      await assignRefused(ports, who, await scopeOf(ports, who, frame, true), frame);
      return null;
    case 'ping':
      return { type: 'pong', ts: frame.ts, heads: [] };
    case 'pong':
      return null;
  }
};
