/** Stop, pause and resume: written with a rising revision, then pushed. After any reconnect the runner converges on what is written. */
import { AppError } from '../../shared/errors.ts';
import type { DesiredState } from '../../shared/session.ts';
import { type AppendPorts, appendEvents } from '../streams/append-events.ts';
import type { RunnerLine } from '../streams/runner-line.ts';
import type { SessionMeta, SessionRef } from './session-store.ts';

export interface DesiredPorts extends AppendPorts {
  readonly runners: RunnerLine;
}

/**
 * Asking for what is already asked is a success; `stop` absorbs everything after it.
 * @throws AppError `not_found`, `session_ended`
 */
export const setDesired = async (
  ports: DesiredPorts,
  ref: SessionRef,
  desired: DesiredState,
  by: string,
): Promise<SessionMeta> => {
  const result = await appendEvents(ports, ref, ({ head }) => {
    if (!head.open || head.desired === 'stop' || head.desired === desired) return null;
    const rev = head.desiredRev + 1;
    return {
      events: [{ type: 'desired_changed', desired, rev, by }],
      head: { desired, desiredRev: rev },
      meta: { desired },
    };
  });
  if (result === null) throw new AppError('not_found', 'There is no such session.');
  const { head } = result.record;
  if (result.appended.length === 0) {
    if (!head.open && desired !== 'stop')
      throw new AppError('session_ended', 'The session has ended: start a new one.');
    if (head.desired === 'stop' && desired !== 'stop')
      throw new AppError('conflict', 'The session is stopping: it cannot be paused or resumed any more.');
  }
  /** Pushed again on a repeat: the first push may have met a closed connection. */
  const written = await ports.sessions.record(ref);
  if (written === null) throw new AppError('not_found', 'There is no such session.');
  if (written.head.open)
    await ports.runners.post(ref, {
      type: 'desired',
      sessionId: ref.sessionId,
      epoch: written.head.epoch,
      rev: written.head.desiredRev,
      desired: written.head.desired,
    });
  return written.meta;
};
