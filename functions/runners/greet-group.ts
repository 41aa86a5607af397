/** Hello and heartbeat of a customer-hosted runner: it is told of every session it holds or should hold, and gets what waits for it. */
import type { FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { FRAME_ENVELOPE_BYTES, FRAME_MAX_BYTES } from '../../shared/limits.ts';
import type { StateReason } from '../../shared/session.ts';
import { closeEpoch } from '../sessions/close-epoch.ts';
import type { SessionRef } from '../sessions/session-store.ts';
import { connectHost, type HostConnection, hostStatus } from './connect-host.ts';
import { Assignment, assignmentKey, assignmentSeen, type Host, hasPlace, listAssignments } from './host-store.ts';
import { dispatchQueue } from './place-on-group.ts';
import { markAssigned, postAssign } from './post-assign.ts';
import {
  type HelloFrame,
  type HelloPorts,
  isCurrent,
  noWatchers,
  overFor,
  recordAtHello,
  type Welcome,
  type WelcomedSession,
  welcomed,
} from './welcome.ts';

const LOST: StateReason = {
  code: 'runner_lost',
  message: 'Its runner was started again and does not have the session any more.',
};

/**
 * Whether the runner has lost what it held: its process is a newer one than the one that got it, and does not name it. Read after the
 * record: whatever this process stored of it, it was told of before, and that is written first.
 */
const isLost = async (
  { db }: HelloPorts,
  who: HostConnection,
  { sessionId, epoch }: Assignment,
  { firstDial }: HelloFrame,
): Promise<boolean> => {
  if (firstDial === undefined) return false;
  const item = await db.get('runners', assignmentKey(who, sessionId));
  const stands = item === null ? null : Assignment.parse(item);
  return stands !== null && stands.epoch === epoch && stands.dial < firstDial;
};

/** The assignment again, as long as no batch of its epoch shows that it was taken; and the pointer to this connection. */
const keep = async (
  ports: HelloPorts,
  who: HostConnection,
  dial: number,
  held: Assignment,
  frame: HelloFrame | null = null,
): Promise<WelcomedSession | null> => {
  const ref: SessionRef = { tenantId: who.tenantId, sessionId: held.sessionId };
  const { epoch } = held;
  const says = frame?.sessions ?? [];
  const record = await recordAtHello(ports, ref, epoch, says);
  if (record === null) return null;
  if (isCurrent(record, epoch)) {
    const isNamed = says.some((one) => one.sessionId === held.sessionId && one.epoch === epoch);
    const hasRun = record.head.ackedRseq > 0;
    if (frame !== null && hasRun && !isNamed && (await isLost(ports, who, held, frame))) {
      await closeEpoch(ports, ref, { epoch, asRead: null, cause: 'runner_lost', reason: LOST });
      return null;
    }
    if ((isNamed || !hasRun) && held.dial < (frame?.firstDial ?? dial)) await assignmentSeen(ports.db, who, held, dial);
    const to = { connectionId: who.connectionId, dial, runnerId: who.runnerId };
    await markAssigned(ports, ref, record.head);
    if (hasRun) await ports.runners.set(ref, { connectionId: who.connectionId, epoch, dial });
    else await postAssign(ports, to, ref, record.meta);
  }
  return welcomed(ports, ref, epoch, record);
};

/** It is over, or goes on elsewhere. */
const letGo = async (
  ports: HelloPorts,
  { tenantId }: HostConnection,
  has: HelloFrame['sessions'][number],
): Promise<WelcomedSession> => {
  const head = await ports.sessions.head({ tenantId, sessionId: has.sessionId });
  if (head === null) return overFor(has);
  const ackedRseq = head.epoch === has.epoch ? head.ackedRseq : 0;
  return overFor(has, { ackedRseq, desired: { desired: head.desired, rev: head.desiredRev } });
};

const sizeOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value)) + 1;

/** A frame holds 32 KiB: lists of viewers that do not fit come in frames of their own, whose revision is higher than none. */
const fitted = (sessions: readonly WelcomedSession[]) => {
  const later: WelcomedSession[] = [];
  let roomBytes = FRAME_MAX_BYTES - FRAME_ENVELOPE_BYTES;
  for (const session of sessions) roomBytes -= sizeOf({ ...session, watchers: noWatchers() });
  const fitting = sessions.map((session) => {
    const listBytes = sizeOf(session.watchers);
    if (listBytes <= roomBytes || session.watchers.rev === 0) {
      roomBytes -= listBytes;
      return session;
    }
    later.push(session);
    return { ...session, watchers: noWatchers() };
  });
  return { sessions: fitting, later };
};

const hasMore = (before: Host, host: Host): boolean =>
  before.connectionId !== host.connectionId ||
  before.capacity < host.capacity ||
  (before.isDraining && !host.isDraining) ||
  before.desired !== host.desired;

const dispatchTo = async (ports: HelloPorts, before: Host, host: Host): Promise<void> => {
  if (hasMore(before, host) && hasPlace(host, ports.clock.nowMs()))
    await dispatchQueue(ports, host.tenantId, host.group);
};

/** @throws AppError `invalid_credential` for a revoked runner */
export const greetGroup = async (ports: HelloPorts, who: HostConnection, frame: HelloFrame): Promise<Welcome> => {
  const { before, host, isStale } = await connectHost(ports, who, frame);
  const { dial } = frame;
  /** Its socket is about to close. */
  if (isStale) return { type: 'welcome', dial, sessions: [], desired: host.desired };
  const held = await listAssignments(ports.db, who.tenantId, who.runnerId);
  const isHeld = (one: { sessionId: string; epoch: number }) =>
    held.some(({ sessionId, epoch }) => sessionId === one.sessionId && epoch === one.epoch);
  const [kept, left] = await Promise.all([
    Promise.all(held.map((one) => keep(ports, who, dial, one, frame))),
    Promise.all(frame.sessions.filter((one) => !isHeld(one)).map((one) => letGo(ports, who, one))),
  ]);
  const { sessions, later } = fitted([...kept.filter((one) => one !== null), ...left]);
  for (const { sessionId, epoch, watchers } of later)
    await ports.runnerSender.post(who.connectionId, { type: 'viewers', sessionId, epoch, ...watchers });
  await dispatchTo(ports, before, host);
  return { type: 'welcome', dial, sessions, desired: host.desired };
};

/** @throws AppError `invalid_credential` for a revoked runner */
export const groupStatus = async (
  ports: HelloPorts,
  who: HostConnection,
  frame: FrameOf<RunnerFrame, 'runner_status'>,
): Promise<void> => {
  const { before, host, isStale } = await hostStatus(ports, who, frame);
  if (isStale) return;
  /** The drain was posted once, and a post may be lost. */
  if (host.desired === 'drain' && !frame.draining)
    await ports.runnerSender.post(who.connectionId, { type: 'runner_desired', desired: 'drain' });
  /** An assignment it never heard of, or one that it ended just now. */
  if (frame.live !== host.live)
    for (const held of await listAssignments(ports.db, who.tenantId, who.runnerId))
      await keep(ports, who, host.dial, held);
  await dispatchTo(ports, before, host);
};
