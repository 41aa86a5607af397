/** What each frame of the control plane means to a session. */
import type { ControlToRunnerFrame, FrameOf } from '../../../shared/frames.ts';
import type { RuntimeOptions, SessionRuntime } from './session-runtime.ts';

type Welcome = FrameOf<ControlToRunnerFrame, 'welcome'>;

/** Frames of other sessions and epochs are logged and change nothing. */
export const takeControlFrame = (
  runtime: SessionRuntime,
  { ports, assign }: Pick<RuntimeOptions, 'ports' | 'assign'>,
  frame: ControlToRunnerFrame,
): void => {
  if (frame.type === 'welcome') {
    takeWelcome(runtime, assign, frame);
    return;
  }
  if (!('epoch' in frame)) return;
  if (frame.sessionId !== assign.sessionId || frame.epoch !== assign.epoch) {
    ports.log.warn('a frame of another session or epoch', { type: frame.type, sessionId: frame.sessionId });
    return;
  }
  const { core, people, lifetime } = runtime;
  switch (frame.type) {
    case 'ack':
      core.uploads.onGrants(frame.grants);
      core.uploads.onRefused(frame.refused ?? []);
      core.events.onAck(frame);
      if (frame.desired !== undefined && core.ask(frame.desired)) runtime.desired.follow();
      return;
    case 'nack':
      core.events.onNack(frame);
      return;
    case 'desired':
      core.ask(frame);
      runtime.desired.follow();
      return;
    case 'approval_decision':
      // Approvals are not built: there is none that this could decide.
      ports.log.warn('a decision without an approval', { approvalId: frame.decision.approvalId });
      return;
    case 'assign':
      return;
    default:
      people.onFrame(frame);
      // Taking or leaving the lead decides whether the session may end by itself.
      if (frame.type !== 'input') lifetime.progressed();
  }
};

/** A new line: what the control plane has and wants of this session, or that it knows it no more. */
const takeWelcome = (
  runtime: SessionRuntime,
  { sessionId, epoch }: Pick<RuntimeOptions['assign'], 'sessionId' | 'epoch'>,
  frame: Welcome,
): void => {
  const { core, people, agent } = runtime;
  const mine = frame.sessions.find((entry) => entry.sessionId === sessionId && entry.epoch === epoch);
  if (!mine) {
    runtime.abort('unknown_session');
    return;
  }
  if (!mine.open) runtime.abort('closed');
  core.events.onWelcome(mine.ackedRseq);
  if (!mine.open) return;
  core.uploads.onGrants(mine.grants);
  core.ask(mine.desired);
  people.setWatchers(mine.watchers);
  agent.live?.onUp();
  runtime.desired.follow();
};
