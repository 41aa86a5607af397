/** What a customer-hosted runner says of itself, written under its tenant: only its newest connection counts, and a revoked one never. */

import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type { FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { SESSION_SIDE_ROWS_TTL_MS } from '../../shared/limits.ts';
import type { Condition, Database, Item } from '../database.ts';
import { type Host, type HostRef, hostKey, hostOf, readHost } from './host-store.ts';

export interface HostPorts {
  readonly db: Database;
  readonly clock: Clock;
}
export interface HostConnection extends HostRef {
  readonly connectionId: string;
}
export interface Connected {
  readonly before: Host;
  readonly host: Host;
  /** A later dial stands already: nothing was changed. */
  readonly isStale: boolean;
}

export const revokedError = (): AppError =>
  new AppError(
    'invalid_credential',
    'This runner was revoked or is not known any more: register it again with `village runners register`.',
  );

const known = async (ports: HostPorts, ref: HostRef): Promise<Host> => {
  const host = await readHost(ports.db, ref, ports.clock.nowMs());
  if (host === null || host.isRevoked) throw revokedError();
  return host;
};

const update = (ports: HostPorts, ref: HostRef, set: Item, condition: Condition) =>
  ports.db.write({
    kind: 'update',
    table: 'runners',
    key: hostKey(ref),
    set,
    conditions: [{ attr: 'isRevoked', op: '=', value: false }, condition],
  });

/** A runner that had drained and begins anew serves again. */
const desiredAfter = (before: Host, frame: FrameOf<RunnerFrame, 'hello'>): Host['desired'] => {
  const hasDrained = before.desired === 'drain' && before.isDraining;
  return hasDrained && !frame.draining && frame.sessions.length === 0 ? 'serve' : before.desired;
};

/** @throws AppError `invalid_credential` for a revoked runner */
export const connectHost = async (
  ports: HostPorts,
  who: HostConnection,
  frame: FrameOf<RunnerFrame, 'hello'>,
): Promise<Connected> => {
  const before = await known(ports, who);
  const nowMs = ports.clock.nowMs();
  const set = {
    connectionId: who.connectionId,
    dial: frame.dial,
    capacity: Math.min(before.maxSessions, frame.capacity),
    isDraining: frame.draining,
    desired: desiredAfter(before, frame),
    runnerVersion: frame.runnerVersion,
    buildId: frame.buildId,
    protocol: frame.protocol,
    clis: frame.clis,
    isolation: frame.isolation,
    connectedAtMs: before.connectionId === who.connectionId ? before.connectedAtMs : nowMs,
    lastSeenMs: nowMs,
    expiresAtSec: Math.ceil((nowMs + SESSION_SIDE_ROWS_TTL_MS) / 1_000),
  };
  const higher = await update(ports, who, set, { attr: 'dial', op: '<', value: frame.dial });
  /** A hello repeated on its connection says what it said before, or more. */
  const written = higher.ok
    ? higher
    : await update(ports, who, set, { attr: 'connectionId', op: '=', value: who.connectionId });
  const host = hostOf(written.item, nowMs);
  if (host === null || host.isRevoked) throw revokedError();
  return { before, host, isStale: !written.ok };
};

/** @throws AppError `invalid_credential` for a revoked runner */
export const hostStatus = async (
  ports: HostPorts,
  who: HostConnection,
  frame: FrameOf<RunnerFrame, 'runner_status'>,
): Promise<Connected> => {
  const before = await known(ports, who);
  const nowMs = ports.clock.nowMs();
  const set = {
    capacity: Math.min(before.maxSessions, frame.capacity),
    isDraining: frame.draining,
    lastSeenMs: nowMs,
  };
  const written = await update(ports, who, set, { attr: 'connectionId', op: '=', value: who.connectionId });
  const host = hostOf(written.item, nowMs);
  if (host === null || host.isRevoked) throw revokedError();
  return { before, host, isStale: !written.ok };
};

/** One that was asked to drain and held nothing any more has done so. */
export const hostDisconnected = async (ports: HostPorts, who: HostConnection): Promise<void> => {
  const host = await readHost(ports.db, who, ports.clock.nowMs());
  if (host === null || host.connectionId !== who.connectionId) return;
  const hasDrained = host.desired === 'drain' && host.live <= 0;
  await update(
    ports,
    who,
    { connectionId: null, ...(hasDrained ? { isDraining: true } : {}) },
    { attr: 'connectionId', op: '=', value: who.connectionId },
  );
};
