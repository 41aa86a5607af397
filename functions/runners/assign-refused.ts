/** A runner does not take what it was given: nothing of it ran, so the epoch is over and the session goes on elsewhere in the next one. */
import type { FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { closeEpoch } from '../sessions/close-epoch.ts';
import type { SessionRef } from '../sessions/session-store.ts';
import type { RunnerConnection } from './handle-runner-frame.ts';
import { hostKey } from './host-store.ts';
import type { HelloPorts } from './welcome.ts';

export const assignRefused = async (
  ports: HelloPorts,
  who: RunnerConnection,
  ref: SessionRef,
  { epoch, message }: FrameOf<RunnerFrame, 'assign_refused'>,
): Promise<void> => {
  const head = await ports.sessions.head(ref);
  /** What has a batch has run: it is not the runner's to hand back any more. */
  if (head === null || head.epoch !== epoch || !head.open || head.ackedRseq > 0) return;
  if (who.kind === 'group')
    /** Until its next status says otherwise: the session must not come straight back. */
    await ports.db.write({
      kind: 'update',
      table: 'runners',
      key: hostKey(who),
      set: { isDraining: true },
      conditions: [{ attr: 'connectionId', op: '=', value: who.connectionId }],
    });
  const reason = { code: 'runner_refused', message: `The runner did not take the session: ${message}` };
  await closeEpoch(ports, ref, { epoch, asRead: head, cause: 'assign_refused', reason });
};
