/** `village sessions wait`: for scripts; ends as soon as the answer is known. */
import type { Command } from 'commander';
import { z } from 'zod';
import { type Clock, sleep, systemClock } from '../../shared/clock.ts';
import { isFinal, SESSION_STATES, SessionState, SessionView } from '../../shared/session.ts';
import { CliError, EXIT } from '../cli-error.ts';
import type { Run } from '../run.ts';
import { sessionIdOf } from '../session-id.ts';

const POLL_MS = 300;
const TIMEOUT_DEFAULT_SEC = 600;

export type WaitAnswer = 'reached' | 'never' | 'not_yet';

/** A final state other than the wanted ones can never become one of them. Without a wanted state any final one will do. */
export const decideWait = (state: SessionState, wanted: readonly SessionState[]): WaitAnswer => {
  if (wanted.length === 0) return isFinal(state) ? 'reached' : 'not_yet';
  if (wanted.includes(state)) return 'reached';
  return isFinal(state) ? 'never' : 'not_yet';
};

/** Polls until the answer is known or `timeoutMs` passed; the last view is returned in every case. */
export const waitForState = async (
  read: () => Promise<SessionView>,
  wanted: readonly SessionState[],
  timeoutMs: number,
  clock: Clock = systemClock,
  onView: (view: SessionView) => void = () => {},
): Promise<{ answer: WaitAnswer; view: SessionView }> => {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  for (;;) {
    const view = await read();
    onView(view);
    const answer = decideWait(view.state, wanted);
    const leftMs = deadlineMs - clock.monotonicMs();
    if (answer !== 'not_yet' || leftMs <= 0) return { answer, view };
    await sleep(clock, Math.min(POLL_MS, leftMs));
  }
};

/** Says each new position in the queue once, and that the wait is over. */
export const queueNotes = (note: (text: string) => void): ((view: SessionView) => void) => {
  let last: number | null = null;
  return ({ queuePosition, pool }) => {
    if (queuePosition !== null && queuePosition !== last)
      note(`waits for a runner of ${pool}, position ${queuePosition}`);
    if (queuePosition === null && last !== null) note('a runner takes it');
    last = queuePosition;
  };
};

const Options = z.object({
  state: z.array(SessionState).default([]),
  timeout: z.coerce
    .number()
    .min(0)
    .max(24 * 60 * 60)
    .default(TIMEOUT_DEFAULT_SEC),
});

export const addWaitSession = (sessions: Command, run: Run): void => {
  sessions
    .command('wait <id>')
    .description('wait for a state; exits 0 when it is reached, 1 with the state it is in when not')
    .option('--state <state...>', `one or more of ${SESSION_STATES.join(', ')} (default: any end)`)
    .option('--timeout <seconds>', 'give up after this long', String(TIMEOUT_DEFAULT_SEC))
    .action(
      run(async ({ output, api }, [id], options) => {
        const parsed = Options.safeParse(options);
        if (!parsed.success) throw new CliError('usage', `sessions wait: ${z.prettifyError(parsed.error)}`);
        const { state: wanted, timeout } = parsed.data;
        const client = api();
        const path = `/api/sessions/${sessionIdOf(id)}`;
        const read = () => client.get(path, SessionView);
        const told = queueNotes((text) => output.note(text));
        const { answer, view } = await waitForState(read, wanted, timeout * 1_000, systemClock, told);
        const { sessionId, state, reason, queuePosition } = view;
        if (output.json) output.object({ sessionId, state, reason, reached: answer === 'reached', queuePosition });
        else output.line(state);
        if (answer === 'not_yet') output.note(`still ${state} after ${timeout} s`);
        if (answer === 'never' && reason !== null) output.note(`${reason.message} (${reason.code})`);
        return answer === 'reached' ? EXIT.ok : EXIT.failed;
      }),
    );
};
