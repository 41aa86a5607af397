/** Submits prompts one after another, and presses Enter again where the CLI swallowed it. */
import { type Clock, sleep } from '../../../../shared/clock.ts';
import { PROMPT_MAX_CHARS } from '../../../../shared/limits.ts';
import type { AgentPty, SendResult } from '../contract.ts';
import { asPlainText, PROMPT_LANE, pasteText, pressEnter } from '../type-prompt.ts';

/** How long the CLI may take to report a prompt before Enter is pressed again. On an empty input box Enter does nothing. */
const CONFIRM_MS = 2_000;
const ENTER_TRIES = 3;
/** First characters that switch the input box to another mode: `!` would run a command past the gate. */
const MODE_SWITCH = /^\s*[!#/&@]/;

export interface PromptTyperOptions {
  readonly pty: AgentPty;
  readonly clock: Clock;
  readonly accepts: () => boolean;
  /** A turn is running: the CLI queues the prompt and reports it later. */
  readonly isBusy: () => boolean;
  /** Called back when the CLI reports a prompt. */
  readonly promptSeen: Set<() => void>;
  /** The highest number of ours that the CLI reported, before a crash of the runner too. */
  readonly reported: { number: number };
  /** Prompts may be repeats of what a runner process before this one was typing when it died. */
  readonly isAdopted: boolean;
}

/** Text that the input box takes as words, whatever it begins with. */
export const asPrompt = (text: string): string => {
  const plain = asPlainText(text).trim();
  return MODE_SWITCH.test(plain) ? `Task: ${plain}` : plain;
};

export interface PromptTyper {
  send(text: string, number: number | undefined): Promise<SendResult>;
}

export function promptTyper(options: PromptTyperOptions): PromptTyper {
  const { pty, clock, promptSeen, reported } = options;
  let last: Promise<unknown> = Promise.resolve();
  let isRepeat = options.isAdopted;

  /** Whether the CLI reported a prompt within CONFIRM_MS of `act`. */
  const confirmedAfter = async (number: number, act: () => Promise<void>): Promise<boolean> => {
    const seen = Promise.withResolvers<boolean>();
    const onSeen = () => {
      // In the same turn as the report itself, so that both are kept together.
      reported.number = Math.max(reported.number, number);
      seen.resolve(true);
    };
    promptSeen.add(onSeen);
    const stopWaiting = new AbortController();
    try {
      await act();
      const late = sleep(clock, CONFIRM_MS, stopWaiting.signal).then(
        () => false,
        () => false,
      );
      return await Promise.race([seen.promise, late]);
    } finally {
      stopWaiting.abort();
      promptSeen.delete(onSeen);
    }
  };
  const submit = async (number: number): Promise<boolean> => {
    for (let tries = 0; tries < ENTER_TRIES; tries += 1)
      if (await confirmedAfter(number, () => pressEnter(pty))) return true;
    return false;
  };

  const type = async (text: string, number: number | undefined): Promise<SendResult> => {
    if (number !== undefined && number <= reported.number) return { kind: 'sent', confirmed: true };
    if (!options.accepts()) return { kind: 'refused', reason: 'the gate does not stand, so no prompt is typed' };
    const prompt = asPrompt(text);
    if (prompt === '') return { kind: 'refused', reason: 'the prompt is empty' };
    if (prompt.length > PROMPT_MAX_CHARS)
      return { kind: 'refused', reason: `the prompt is longer than ${PROMPT_MAX_CHARS} characters` };
    try {
      const mark = number ?? 0;
      if (isRepeat && number !== undefined) {
        isRepeat = false;
        // It may be submitted already, its report on the way.
        if (await confirmedAfter(mark, async () => {})) return { kind: 'sent', confirmed: true };
      }
      const isQueued = options.isBusy();
      await pasteText(pty, clock, prompt, number === undefined ? undefined : { lane: PROMPT_LANE, number });
      if (!isQueued) return { kind: 'sent', confirmed: await submit(mark) };
      await pressEnter(pty);
      return { kind: 'sent', confirmed: false };
    } catch (error) {
      return {
        kind: 'refused',
        reason: `the CLI takes no input: ${error instanceof Error ? error.message : 'unknown'}`,
      };
    }
  };

  return {
    send(text, number) {
      const result = last.then(() => type(text, number));
      last = result;
      return result;
    },
  };
}
