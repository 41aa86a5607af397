/** Counts turns and says when the agent is idle; a turn that never reported its end is closed by the next one. */
import type { ProviderEvent, TurnOutcome } from '../contract.ts';

const PROMPT_MAX_CHARS = 2_000;

export interface Turns {
  start(prompt: string): void;
  /** Closes the open turn, if one is open. `atMs` is when its end was written down: an end from before the turn is not its own. */
  finish(outcome: TurnOutcome, atMs?: number): void;
  /** Closes the open turn of a CLI that is gone: nobody is idle then. */
  abandon(): void;
  readonly isOpen: boolean;
}

export function countTurns(emit: (event: ProviderEvent) => void, nowMs: () => number): Turns {
  let started = 0;
  let done = 0;
  let open: { readonly turn: number; readonly startedAtMs: number } | undefined;
  const close = (outcome: TurnOutcome): void => {
    if (open === undefined) return;
    const { turn, startedAtMs } = open;
    open = undefined;
    done += 1;
    emit({ type: 'TURN_FINISHED', turn, tookMs: Math.max(0, nowMs() - startedAtMs), outcome });
  };
  return {
    start(prompt) {
      close('interrupted');
      started += 1;
      open = { turn: started, startedAtMs: nowMs() };
      emit({ type: 'TURN_STARTED', turn: started, prompt: prompt.slice(0, PROMPT_MAX_CHARS) });
    },
    finish(outcome, atMs) {
      if (open === undefined || (atMs !== undefined && atMs < open.startedAtMs)) return;
      close(outcome);
      emit({ type: 'PROVIDER_IDLE', turnsDone: done });
    },
    abandon: () => close('interrupted'),
    get isOpen() {
      return open !== undefined;
    },
  };
}
