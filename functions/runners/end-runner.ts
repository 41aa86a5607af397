/**
 * Drain and revocation of a customer-hosted runner. A drained one gives its sessions back in order. A revoked one is not heard any more:
 * its credential goes with the mark, in one transaction; what it ran is closed and goes on elsewhere; its connection is cut.
 */
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import type { RunnerInfo } from '../../shared/http.ts';
import { RUNNER_GONE_SHOWN_MS } from '../../shared/limits.ts';
import { closeEpoch } from '../sessions/close-epoch.ts';
import type { ConnectionCloser, RunnerSender } from '../sessions/ports.ts';
import type { AppendPorts } from '../streams/append-events.ts';
import type { RunnerLine } from '../streams/runner-line.ts';
import { type Host, type HostRef, hostKey, hostOf, hostView, listAssignments, readHost } from './host-store.ts';
import { credentialKey } from './runner-credentials.ts';

export interface EndPorts extends AppendPorts {
  readonly clock: Clock;
  readonly runners: RunnerLine;
  readonly runnerSender: RunnerSender;
  readonly runnerCloser: ConnectionCloser;
}

const notFound = () => new AppError('not_found', 'There is no such runner.');

const viewNow = async (ports: EndPorts, host: Host): Promise<RunnerInfo> =>
  hostView(host, await listAssignments(ports.db, host.tenantId, host.runnerId), ports.clock.nowMs());

/**
 * Repeating it tells the runner again.
 * @throws AppError `not_found`, `conflict` for a revoked runner
 */
export const drainRunner = async (ports: EndPorts, ref: HostRef): Promise<RunnerInfo> => {
  const written = await ports.db.write({
    kind: 'update',
    table: 'runners',
    key: hostKey(ref),
    set: { desired: 'drain' },
    conditions: [{ attr: 'isRevoked', op: '=', value: false }],
  });
  const host = hostOf(written.item, ports.clock.nowMs());
  if (host === null) throw notFound();
  if (!written.ok) throw new AppError('conflict', 'This runner was revoked: it holds nothing that could be drained.');
  if (host.connectionId !== null)
    await ports.runnerSender.post(host.connectionId, { type: 'runner_desired', desired: 'drain' });
  return viewNow(ports, host);
};

const mark = async (ports: EndPorts, host: Host): Promise<void> => {
  const { tenantId, runnerId } = host;
  const expiresAtSec = Math.ceil((ports.clock.nowMs() + RUNNER_GONE_SHOWN_MS) / 1_000);
  await ports.db.transact([
    {
      kind: 'update',
      table: 'runners',
      key: hostKey(host),
      set: { isRevoked: true, expiresAtSec },
      conditions: [{ attr: 'isRevoked', op: '=', value: false }],
    },
    { kind: 'delete', table: 'runners', key: credentialKey({ kind: 'group', tenantId, runnerId }) },
  ]);
};

/** Closed, the runner dials again, is refused, and kills what it runs within a second. @returns the error where that failed */
const cut = async (ports: EndPorts, ref: HostRef, connectionId: string): Promise<unknown> => {
  try {
    await ports.runnerCloser.close(connectionId);
    await ports.db.write({
      kind: 'update',
      table: 'runners',
      key: hostKey(ref),
      set: { connectionId: null, isCut: true },
      conditions: [{ attr: 'connectionId', op: '=', value: connectionId }],
    });
    return null;
  } catch (error) {
    return error;
  }
};

/**
 * What follows the mark; may be repeated, and is by the table's stream where the first call died. Sessions of a runner that was told go
 * on at once; of one that nobody can tell anything not before it has frozen them itself, at the end of their lease.
 */
export const finishRevocation = async (ports: EndPorts, ref: HostRef): Promise<void> => {
  const host = await readHost(ports.db, ref, ports.clock.nowMs());
  if (host === null || !host.isRevoked) return;
  const { connectionId } = host;
  const failure = connectionId === null ? null : await cut(ports, ref, connectionId);
  /** Also where another call has cut it: of two that follow one mark, both may close what it ran. */
  const isTold = failure === null && (connectionId !== null || host.isCut);
  const reason = { code: 'runner_revoked', message: 'The runner of this session was revoked.' };
  for (const { sessionId, epoch } of await listAssignments(ports.db, ref.tenantId, ref.runnerId)) {
    const session = { tenantId: ref.tenantId, sessionId };
    const cause = isTold ? 'host_lost' : 'runner_revoked';
    await closeEpoch(ports, session, { epoch, asRead: null, cause, reason });
    if (connectionId !== null) await ports.runners.clear(session, connectionId);
  }
  if (failure !== null) throw failure;
};

/** @throws AppError `not_found` */
export const revokeRunner = async (ports: EndPorts, ref: HostRef): Promise<RunnerInfo> => {
  const host = await readHost(ports.db, ref, ports.clock.nowMs());
  if (host === null) throw notFound();
  if (!host.isRevoked) await mark(ports, host);
  await finishRevocation(ports, ref);
  const revoked = await readHost(ports.db, ref, ports.clock.nowMs());
  if (revoked === null) throw notFound();
  return viewNow(ports, revoked);
};
