/** Counts turns and says when the agent is idle; a prompt that came while it worked waits, or joins the running turn. */
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
  /** Closes the open turn of a CLI that is gone: nobody is idle then. */
  abandon(): void;
  readonly isOpen: boolean;
}

interface Waiting {
  readonly prompt: string;
  readonly atMs: number;
}

export function countTurns(emit: (event: ProviderEvent) => void, nowMs: () => number): Turns {
  let started = 0;
  let done = 0;
  let open: { readonly turn: number; readonly startedAtMs: number } | undefined;
  let waiting: Waiting[] = [];
  const start = (prompt: string): void => {
    started += 1;
    open = { turn: started, startedAtMs: nowMs() };
    emit({ type: 'TURN_STARTED', turn: started, prompt: prompt.slice(0, PROMPT_MAX_CHARS) });
  };
  const close = (outcome: TurnOutcome): void => {
    if (open === undefined) return;
    const { turn, startedAtMs } = open;
    open = undefined;
    done += 1;
    emit({ type: 'TURN_FINISHED', turn, tookMs: Math.max(0, nowMs() - startedAtMs), outcome });
  };
  return {
    submit(prompt) {
      if (open === undefined) return start(prompt);
      emit({ type: 'PROVIDER_MESSAGE', role: 'user', text: prompt.slice(0, PROMPT_MAX_CHARS) });
      waiting = [...waiting, { prompt, atMs: nowMs() }].slice(-QUEUED_PROMPTS_MAX);
    },
    leftQueue(prompt) {
      const index = waiting.findIndex((one) => one.prompt === prompt);
      waiting = prompt === undefined ? [] : waiting.filter((_, at) => at !== index);
    },
    finish(outcome, atMs) {
      if (open === undefined || (atMs !== undefined && atMs < open.startedAtMs)) return;
      close(outcome);
      // An interruption gives the waiting prompts back to the person; those that came after it are already being worked on.
      if (outcome === 'interrupted') waiting = waiting.filter((one) => atMs !== undefined && one.atMs >= atMs);
      const next = waiting.shift();
      if (next !== undefined) start(next.prompt);
      else emit({ type: 'PROVIDER_IDLE', turnsDone: done });
    },
    abandon: () => close('interrupted'),
    get isOpen() {
      return open !== undefined;
    },
  };
}
