/** Types a prompt into a full-screen CLI so that it arrives as one piece of text, whatever it contains. */
import { type Clock, sleep } from '../../../shared/clock.ts';
import type { AgentPty, WriteOnce } from './contract.ts';

/** Prompts are written once each under it, also when a crash makes somebody try again. */
export const PROMPT_LANE = 'prompt';

/** CLIs need this long to take a paste in before Enter counts as Enter (measured: facts on driving the CLIs). */
export const PASTE_SETTLE_MS = 250;

/** Asks an agent to go on after TURN_CUT. */
export const CONTINUE_PROMPT =
  'The connection to the model was lost in the middle of your answer. Go on from where you were.';

/** Asks an agent to go on whose turn was not over when its session moved. */
export const MOVED_PROMPT =
  'This session was moved to another machine in the middle of your work. Your files are as you left them. Go on from where you were.';

const PASTE_OPEN = '\x1b[200~';
const PASTE_CLOSE = '\x1b[201~';

/** Without control characters, a text can neither end the paste early nor press a key. */
export function asPlainText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the point
  return text.replace(/\r\n?/g, '\n').replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '');
}

/** Pastes without submitting. */
export async function pasteText(pty: AgentPty, clock: Clock, text: string, once?: WriteOnce): Promise<void> {
  await pty.write(`${PASTE_OPEN}${asPlainText(text)}${PASTE_CLOSE}`, once);
  await sleep(clock, PASTE_SETTLE_MS);
}

export const pressEnter = (pty: AgentPty): Promise<void> => pty.write('\r');
