/** Frames of a runner: hello, batches of events, terminal output on its way to the viewers. Acks are the route's response, never a post. */
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type {
  ControlToRunnerFrame,
  ControlToViewerFrame,
  FrameOf,
  RunnerFrame,
  UploadGrant,
  UploadWish,
} from '../../shared/frames.ts';
import { UPLOAD_GRANT_TTL_MS } from '../../shared/limits.ts';
import type { RunnerScope } from '../../shared/runner-credential.ts';
import type { ObjectStore } from '../sessions/ports.ts';
import type { SessionRef } from '../sessions/session-store.ts';
import type { Signer } from '../signing.ts';
import { chunkObjectKey, diffObjectKey } from '../streams/chunks.ts';
import { ingestBatch } from '../streams/ingest-batch.ts';
import type { FanOut } from '../streams/viewer-fan-out.ts';
import { greet, type HelloPorts } from './hello.ts';

export interface RunnerPorts extends HelloPorts {
  readonly objects: ObjectStore;
  readonly fanOut: FanOut;
  readonly signer: Signer;
  readonly clock: Clock;
}

export interface RunnerConnection extends RunnerScope {
  readonly connectionId: string;
}

/** A revision that no list has: it is read. */
const NEWEST = Number.MAX_SAFE_INTEGER;

/** The capability must belong to this connection's session, and the frame to the capability. */
const scopeOf = async (
  ports: RunnerPorts,
  who: RunnerConnection,
  frame: { capability: string; sessionId: string; epoch: number },
): Promise<SessionRef> => {
  const capability = await ports.signer.verify('capability', frame.capability);
  const fits =
    capability.tenantId === who.tenantId &&
    capability.sessionId === who.sessionId &&
    frame.sessionId === who.sessionId &&
    frame.epoch === capability.epoch;
  if (!fits) throw new AppError('forbidden', 'This capability belongs to another session.');
  return { tenantId: who.tenantId, sessionId: who.sessionId };
};

const grantsFor = (
  ports: RunnerPorts,
  ref: SessionRef,
  epoch: number,
  wishes: readonly UploadWish[],
): Promise<UploadGrant[]> =>
  Promise.all(
    wishes.map(async ({ kind, number, sizeBytes, sha256Base64 }) => {
      const key = kind === 'transcript' ? chunkObjectKey(ref, epoch, number) : diffObjectKey(ref, epoch, number);
      const { url, headers } = await ports.objects.presignPut({
        key,
        sizeBytes,
        sha256Base64,
        ttlMs: UPLOAD_GRANT_TTL_MS,
      });
      return { kind, number, key, url, headers, expiresAtMs: ports.clock.nowMs() + UPLOAD_GRANT_TTL_MS };
    }),
  );

const events = async (
  ports: RunnerPorts,
  who: RunnerConnection,
  frame: FrameOf<RunnerFrame, 'runner_events'>,
): Promise<ControlToRunnerFrame> => {
  const ref = await scopeOf(ports, who, frame);
  const result = await ingestBatch(ports, ref, frame);
  if (result === null) throw new AppError('not_found', 'There is no such session.');
  const { sessionId, epoch, firstRseq } = frame;
  if (result.kind === 'nack')
    return { type: 'nack', sessionId, epoch, firstRseq, reason: result.reason, expected: result.expected };
  return {
    type: 'ack',
    sessionId,
    epoch,
    firstRseq,
    ackedRseq: result.ackedRseq,
    headSeq: result.headSeq,
    grants: await grantsFor(ports, ref, epoch, frame.uploads),
  };
};

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
    case 'input_reset':
      await ports.fanOut.toOne(await scopeOf(ports, who, frame), frame.viewerId, forViewer(frame), 0);
      return null;
    /** No runner that serves more than its one session is admitted yet. */
    case 'runner_status':
      return { type: 'pong', ts: frame.ts, heads: [] };
    /** Only runners that hold several sessions refuse one; until then the reaper ends an epoch that nobody took. */
    case 'assign_refused':
      return null;
    case 'ping':
      return { type: 'pong', ts: frame.ts, heads: [] };
    case 'pong':
      return null;
  }
};
