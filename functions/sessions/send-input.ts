/** Input over HTTP: numbered by the store, so that two callers' lines arrive in one order and each once. */
import { AppError } from '../../shared/errors.ts';
import { isFinal } from '../../shared/session.ts';
import type { RunnerLine } from '../streams/runner-line.ts';
import type { WatcherStore } from '../streams/watchers.ts';
import type { SessionMeta, SessionRef, SessionStore } from './session-store.ts';

export interface InputPorts {
  readonly sessions: SessionStore;
  readonly watchers: WatcherStore;
  readonly runners: RunnerLine;
}

const API_VIEWER_ID = 'api-input';

/** @throws AppError `not_found`, `session_ended`, `session_not_ready` */
export const sendInput = async (
  ports: InputPorts,
  ref: SessionRef,
  input: { data: string; submit: boolean },
): Promise<SessionMeta> => {
  const record = await ports.sessions.record(ref);
  if (record === null) throw new AppError('not_found', 'There is no such session.');
  const { head, meta } = record;
  if (isFinal(head.state))
    throw new AppError('session_ended', `The session has ended (${head.state}): start a new one.`);
  /** Its last runner may still be on its way out: what it took now would reach nobody. */
  if (!head.open)
    throw new AppError(
      'session_not_ready',
      'The session has no runner right now: resume it, or wait until it goes on by itself, then send again.',
    );
  if (head.state !== 'running' && head.state !== 'waiting_for_approval')
    throw new AppError('session_not_ready', `The session is ${head.state}: wait until it is running, then send again.`);
  const taken = await ports.runners.post(ref, {
    type: 'input',
    sessionId: ref.sessionId,
    epoch: head.epoch,
    viewerId: API_VIEWER_ID,
    source: 'api',
    controlTerm: 0,
    inputSeq: await ports.watchers.nextApiInputSeq(ref),
    ...input,
  });
  if (!taken)
    throw new AppError(
      'session_not_ready',
      'The session has no runner right now: nothing was delivered. Try again in a few seconds.',
    );
  return meta;
};
