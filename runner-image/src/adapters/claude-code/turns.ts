/** Counts turns and says when the agent is idle; a prompt that came while it worked waits, or joins the running turn. */
import { z } from 'zod';
import { QUEUED_PROMPTS_MAX } from '../../../../shared/limits.ts';
import type { ProviderEvent, TurnOutcome } from '../contract.ts';

const PROMPT_MAX_CHARS = 2_000;

export interface Turns {
  /** The CLI took a prompt: a turn starts, or the prompt waits for the end of the running one. */
  submit(prompt: string): void;
  /** The CLI took a waiting prompt into the running turn, or a person took it back; undefined means all of them. */
  leftQueue(prompt: string | undefined): void;
  /** The open turn ended, if one is open. `atMs` is when its end was written down: an end from before the turn is not its own. */
  finish(outcome: TurnOutcome, atMs?: number): void;
  /**
   * The open turn failed. If it was open when the runner crashed, the crash cut it off: Claude Code gives an answer up whose connection is
   * lost in the middle (measured with 2.1.330; before the first word it asks again itself).
   */
  fail(): void;
  /** Closes the open turn of a CLI that is gone: nobody is idle then. */
  abandon(): void;
  readonly isOpen: boolean;
  saved(): SavedTurns;
}

export const SavedTurns = z.strictObject({
  started: z.int().min(0),
  done: z.int().min(0),
  open: z.strictObject({ turn: z.int().min(1), startedAtMs: z.int() }).nullable(),
  waiting: z.array(z.strictObject({ prompt: z.string(), atMs: z.int() })),
});
export type SavedTurns = z.infer<typeof SavedTurns>;

export const NO_TURNS: SavedTurns = { started: 0, done: 0, open: null, waiting: [] };

export function countTurns(emit: (event: ProviderEvent) => void, nowMs: () => number, from = NO_TURNS): Turns {
  let { started, done, open, waiting } = from;
  let cutTurn = open?.turn;
  const start = (prompt: string): void => {
    started += 1;
    open = { turn: started, startedAtMs: nowMs() };
    emit({ type: 'TURN_STARTED', turn: started, prompt: prompt.slice(0, PROMPT_MAX_CHARS) });
  };
  const close = (outcome: TurnOutcome): void => {
    if (open === null) return;
    const { turn, startedAtMs } = open;
    open = null;
    done += 1;
    emit({ type: 'TURN_FINISHED', turn, tookMs: Math.max(0, nowMs() - startedAtMs), outcome });
  };
  const finish: Turns['finish'] = (outcome, atMs) => {
    if (open === null || (atMs !== undefined && atMs < open.startedAtMs)) return;
    close(outcome);
    // An interruption gives the waiting prompts back to the person; those that came after it are already being worked on.
    if (outcome === 'interrupted') waiting = waiting.filter((one) => atMs !== undefined && one.atMs >= atMs);
    const [next, ...rest] = waiting;
    waiting = rest;
    if (next !== undefined) start(next.prompt);
    else emit({ type: 'PROVIDER_IDLE', turnsDone: done });
  };
  return {
    finish,
    fail() {
      const turn = open?.turn;
      finish('failed');
      if (turn === undefined || turn !== cutTurn) return;
      cutTurn = undefined;
      emit({ type: 'TURN_CUT', turn });
    },
    submit(prompt) {
      if (open === null) return start(prompt);
      emit({ type: 'PROVIDER_MESSAGE', role: 'user', text: prompt.slice(0, PROMPT_MAX_CHARS) });
      // Ours are refused before they are so many; a person who types more into the CLI itself has them counted from the newest.
      waiting = [...waiting, { prompt, atMs: nowMs() }].slice(-QUEUED_PROMPTS_MAX);
    },
    leftQueue(prompt) {
      const index = waiting.findIndex((one) => one.prompt === prompt);
      waiting = prompt === undefined ? [] : waiting.filter((_, at) => at !== index);
    },
    abandon: () => close('interrupted'),
    get isOpen() {
      return open !== null;
    },
    saved: () => ({ started, done, open, waiting }),
  };
}
