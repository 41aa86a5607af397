/**
 * Input over HTTP. A post that was taken by the gateway may still reach nobody (a line that is about to break), so the caller waits for
 * the runner's own word, and the same number is posted again until it comes: what is accepted was taken, once.
 */
import { type Clock, sleep } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import { API_VIEWER_ID } from '../../shared/frames.ts';
import {
  API_INPUT_CONFIRM_MS,
  API_INPUT_LOOK_FIRST_MS,
  API_INPUT_LOOK_MAX_MS,
  API_INPUT_RESEND_MS,
  API_INPUT_WAITING_MAX,
} from '../../shared/limits.ts';
import { isFinal } from '../../shared/session.ts';
import type { Database } from '../database.ts';
import type { RunnerLine } from '../streams/runner-line.ts';
import type { WatcherStore } from '../streams/watchers.ts';
import { type ApiInputAnswer, type ApiInputRef, answerTo, awaitAnswer, tooManyWait } from './api-inputs.ts';
import type { SessionMeta, SessionRef, SessionStore } from './session-store.ts';

export interface InputPorts {
  readonly sessions: SessionStore;
  readonly watchers: WatcherStore;
  readonly runners: RunnerLine;
  readonly db: Database;
  readonly clock: Clock;
}

const noRunner = (): AppError =>
  new AppError(
    'session_not_ready',
    'The session has no runner right now: nothing was delivered. Try again in a few seconds.',
  );

const epochFor = async (ports: InputPorts, ref: SessionRef): Promise<{ meta: SessionMeta; epoch: number }> => {
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
  return { meta, epoch: head.epoch };
};

/** `null`: nobody said anything within API_INPUT_CONFIRM_MS. @throws AppError `session_not_ready` where the first post found no runner */
const confirmed = async (
  { clock, db }: InputPorts,
  input: ApiInputRef,
  post: () => Promise<boolean>,
): Promise<ApiInputAnswer | null> => {
  const startedMs = clock.monotonicMs();
  if (!(await post())) throw noRunner();
  let postedMs = clock.monotonicMs();
  for (let waitMs = API_INPUT_LOOK_FIRST_MS; ; waitMs = Math.min(waitMs * 2, API_INPUT_LOOK_MAX_MS)) {
    await sleep(clock, waitMs);
    const answer = await answerTo(db, input);
    const nowMs = clock.monotonicMs();
    if (answer !== null || nowMs - startedMs >= API_INPUT_CONFIRM_MS) return answer;
    if (nowMs - postedMs < API_INPUT_RESEND_MS) continue;
    await post();
    postedMs = nowMs;
  }
};

/** @throws AppError `not_found`, `session_ended`, `session_not_ready`, `input_unconfirmed` */
export const sendInput = async (
  ports: InputPorts,
  ref: SessionRef,
  input: { data: string; submit: boolean },
): Promise<SessionMeta> => {
  const { meta, epoch } = await epochFor(ports, ref);
  const inputSeq = await ports.watchers.nextApiInputSeq(ref);
  const post = () =>
    ports.runners.post(ref, {
      ...{ type: 'input', sessionId: ref.sessionId, epoch, inputSeq },
      ...{ viewerId: API_VIEWER_ID, source: 'api', controlTerm: 0 },
      ...input,
    });
  const sent = { ref, epoch, inputSeq };
  if (await tooManyWait(ports, sent))
    throw new AppError(
      'session_not_ready',
      `${API_INPUT_WAITING_MAX} inputs wait for the runner already: nothing was delivered. Send it again when they are answered.`,
    );
  await awaitAnswer(ports, sent);
  const answer = await confirmed(ports, sent, post);
  if (answer === 'taken') return meta;
  if (answer === 'refused')
    throw new AppError(
      'session_not_ready',
      'The session cannot take input right now: nothing was delivered. Wait until it is running and its prompts are fewer, then send again.',
    );
  throw new AppError(
    'input_unconfirmed',
    'The runner has not confirmed the input: it may or may not have been taken. Look at the session before you send it again.',
  );
};
