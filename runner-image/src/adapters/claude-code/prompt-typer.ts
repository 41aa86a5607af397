/** Submits prompts one after another, and presses Enter again where the CLI swallowed it. */
import { type Clock, sleep } from '../../../../shared/clock.ts';
import { PROMPT_MAX_CHARS } from '../../../../shared/limits.ts';
import type { AgentPty, SendResult } from '../contract.ts';
import { asPlainText, pasteText, pressEnter } from '../type-prompt.ts';

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
}

/** Text that the input box takes as words, whatever it begins with. */
export const asPrompt = (text: string): string => {
  const plain = asPlainText(text).trim();
  return MODE_SWITCH.test(plain) ? `Task: ${plain}` : plain;
};

export function promptTyper(options: PromptTyperOptions): { send(text: string): Promise<SendResult> } {
  const { pty, clock, promptSeen } = options;
  let last: Promise<unknown> = Promise.resolve();

  const submit = async (): Promise<boolean> => {
    const seen = Promise.withResolvers<boolean>();
    const onSeen = () => seen.resolve(true);
    promptSeen.add(onSeen);
    try {
      for (let tries = 0; tries < ENTER_TRIES; tries += 1) {
        await pressEnter(pty);
        const stopWaiting = new AbortController();
        const late = sleep(clock, CONFIRM_MS, stopWaiting.signal).then(
          () => false,
          () => false,
        );
        const confirmed = await Promise.race([seen.promise, late]);
        stopWaiting.abort();
        if (confirmed) return true;
      }
      return false;
    } finally {
      promptSeen.delete(onSeen);
    }
  };

  const type = async (text: string): Promise<SendResult> => {
    if (!options.accepts()) return { kind: 'refused', reason: 'the gate does not stand, so no prompt is typed' };
    const prompt = asPrompt(text);
    if (prompt === '') return { kind: 'refused', reason: 'the prompt is empty' };
    if (prompt.length > PROMPT_MAX_CHARS)
      return { kind: 'refused', reason: `the prompt is longer than ${PROMPT_MAX_CHARS} characters` };
    try {
      const isQueued = options.isBusy();
      await pasteText(pty, clock, prompt);
      if (!isQueued) return { kind: 'sent', confirmed: await submit() };
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
    send(text) {
      const result = last.then(() => type(text));
      last = result;
      return result;
    },
  };
}
