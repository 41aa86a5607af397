/**
 * Stop, pause and resume: written with a rising revision, then pushed. After any reconnect the runner converges on what is written; of a
 * session without a runner the control plane does it itself: it ends, stays parked, or goes on in its next epoch.
 */
import { AppError } from '../../shared/errors.ts';
import { type DesiredState, isFinal } from '../../shared/session.ts';
import type { Item } from '../database.ts';
import { type Append, appendEvents } from '../streams/append-events.ts';
import type { RunnerLine } from '../streams/runner-line.ts';
import { closeEpoch } from './close-epoch.ts';
import { suspendedUntil } from './closing-writes.ts';
import { continueSession } from './continue-session.ts';
import { STOPPED_REASON } from './decide-closing.ts';
import type { PlacePorts } from './place-epoch.ts';
import type { SessionMeta, SessionRecord, SessionRef } from './session-store.ts';

export interface DesiredPorts extends PlacePorts {
  readonly runners: RunnerLine;
}

/** A resume between two epochs is news also where `run` was never taken back: it ends the parking, or the wait after a strike. */
const isAsked = ({ head, meta }: SessionRecord, desired: DesiredState): boolean =>
  head.desired === desired && !(desired === 'run' && meta.isSuspended);

const suspendedMeta = (
  { meta }: SessionRecord,
  ref: SessionRef,
  desired: Exclude<DesiredState, 'stop'>,
  nowMs: number,
): Item => {
  if (!meta.isSuspended) return {};
  const isWaiting = desired === 'pause';
  return {
    ...suspendedUntil(ref.sessionId, { isParked: isWaiting, notBeforeMs: nowMs }, nowMs),
    ...(isWaiting ? {} : { isParked: false }),
  };
};

const planDesired = (
  ref: SessionRef,
  record: SessionRecord,
  desired: DesiredState,
  by: string,
  nowMs: number,
): Append | null => {
  const { head } = record;
  if (isFinal(head.state) || head.desired === 'stop' || isAsked(record, desired)) return null;
  const rev = head.desiredRev + 1;
  return {
    events: [{ type: 'desired_changed', desired, rev, by }],
    head: { desired, desiredRev: rev },
    meta: { desired, ...(desired === 'stop' ? {} : suspendedMeta(record, ref, desired, nowMs)) },
  };
};

const refuseLate = ({ head }: SessionRecord, desired: DesiredState): void => {
  if (desired === 'stop') return;
  if (isFinal(head.state)) throw new AppError('session_ended', 'The session has ended: start a new one.');
  if (head.desired === 'stop')
    throw new AppError('conflict', 'The session is stopping: it cannot be paused or resumed any more.');
};

/** What is asked of a session without a runner nobody else would do at once. */
const doItself = async (ports: DesiredPorts, ref: SessionRef, { head, meta }: SessionRecord): Promise<void> => {
  if (!head.open) await continueSession(ports, ref);
  else if (head.desired === 'stop' && head.assignedAtMs === null && meta.queuePosition !== null)
    await closeEpoch(ports, ref, { epoch: head.epoch, asRead: head, cause: 'launch_refused', reason: STOPPED_REASON });
};

/**
 * Asking for what is already asked is a success; `stop` absorbs everything after it.
 * @throws AppError `not_found`, `session_ended`, `conflict`
 */
export const setDesired = async (
  ports: DesiredPorts,
  ref: SessionRef,
  desired: DesiredState,
  by: string,
): Promise<SessionMeta> => {
  const result = await appendEvents(ports, ref, (record, nowMs) => planDesired(ref, record, desired, by, nowMs));
  if (result === null) throw new AppError('not_found', 'There is no such session.');
  if (result.appended.length === 0) refuseLate(result.record, desired);
  /** Pushed again on a repeat: the first push may have met a closed connection. */
  const written = await ports.sessions.record(ref);
  if (written === null) throw new AppError('not_found', 'There is no such session.');
  await doItself(ports, ref, written);
  if (!written.head.open) return (await ports.sessions.meta(ref)) ?? written.meta;
  await ports.runners.post(ref, {
    type: 'desired',
    sessionId: ref.sessionId,
    epoch: written.head.epoch,
    rev: written.head.desiredRev,
    desired: written.head.desired,
  });
  return (await ports.sessions.meta(ref)) ?? written.meta;
};
