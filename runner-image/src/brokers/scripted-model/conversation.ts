/** Reads from a Messages API request how far the script has come: the conversation itself is the state, so a retry or a restart skips nothing. */
import { z } from 'zod';
import { CONTINUE_PROMPT, MOVED_PROMPT } from '../../adapters/type-prompt.ts';

const Block = z.looseObject({
  type: z.string(),
  text: z.string().optional(),
  id: z.string().optional(),
  name: z.string().optional(),
  input: z.unknown().optional(),
  tool_use_id: z.string().optional(),
  is_error: z.boolean().nullish(),
  content: z.unknown().optional(),
});
type Block = z.infer<typeof Block>;

const Message = z.looseObject({
  role: z.enum(['user', 'assistant', 'system']),
  content: z.union([z.string(), z.array(Block)]),
});
export type Message = z.infer<typeof Message>;

/** The fields the script needs of `POST /v1/messages`; all others are accepted and ignored. */
export const MessagesRequest = z.looseObject({
  model: z.string().min(1),
  messages: z.array(Message).min(1),
  system: z.unknown().optional(),
  tools: z.array(z.looseObject({ name: z.string().optional() })).optional(),
  stream: z.boolean().optional(),
});
export type MessagesRequest = z.infer<typeof MessagesRequest>;

/** A tool call of the current turn that has its result. */
export interface FinishedCall {
  readonly name: string;
  readonly isError: boolean;
  readonly resultText: string;
}

export interface Position {
  /** The index of the turn to play; -1 without any prompt. */
  readonly turn: number;
  /** Turns to play in one go: a prompt that came while the CLI worked adds its own to the one that runs. */
  readonly turns: number;
  /** Calls finished since that turn's prompt, oldest first. */
  readonly calls: readonly FinishedCall[];
}

const REMINDER_OPEN = '<system-reminder>';
const REMINDER_CLOSE = '</system-reminder>';

/** Text that CLIs put into the user's role although no person wrote it. */
const INTERRUPTED = '[Request interrupted by user';
const NOT_A_PROMPT = [
  INTERRUPTED,
  CONTINUE_PROMPT,
  MOVED_PROMPT,
  '<local-command-',
  '<command-name>',
  '<command-message>',
  '<task-notification>',
];

function withoutReminders(text: string): string {
  let kept = '';
  let from = 0;
  for (;;) {
    const open = text.indexOf(REMINDER_OPEN, from);
    if (open === -1) return kept + text.slice(from);
    kept += text.slice(from, open);
    const close = text.indexOf(REMINDER_CLOSE, open);
    if (close === -1) return kept;
    from = close + REMINDER_CLOSE.length;
  }
}

function isPrompt(text: string): boolean {
  const rest = withoutReminders(text).trim();
  return rest !== '' && !NOT_A_PROMPT.some((marker) => rest.startsWith(marker));
}

const blocksOf = (message: Message): readonly Block[] =>
  typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content;

function resultText(block: Block): string {
  if (typeof block.content === 'string') return block.content;
  const parts = z.array(z.looseObject({ text: z.string().optional() })).safeParse(block.content);
  return parts.success ? parts.data.map((part) => part.text ?? '').join('\n') : '';
}

interface Walk {
  turn: number;
  turns: number;
  calls: FinishedCall[];
  /** What stands behind the last answer so far. */
  after: 'answer' | 'results' | 'interruption' | 'prompt';
}

function seePrompt(walk: Walk): void {
  if (walk.after === 'prompt') return;
  if (walk.after === 'results') {
    walk.turns += 1;
    return;
  }
  walk.turn += walk.turns;
  walk.turns = 1;
  walk.calls = [];
  walk.after = 'prompt';
}

/**
 * Where the script stands. Reminders follow the prompt, in the user's role or the system's: so every block after the last answer is looked at. A
 * prompt behind tool results joins the running turn, unless that was interrupted; elsewhere at most one is counted behind each answer.
 */
export function positionOf(messages: readonly Message[]): Position {
  const names = new Map<string, string>();
  const walk: Walk = { turn: -1, turns: 1, calls: [], after: 'answer' };
  for (const message of messages) {
    if (message.role === 'system') continue;
    if (message.role === 'assistant') walk.after = 'answer';
    for (const block of blocksOf(message)) {
      if (message.role === 'assistant') {
        if (block.type === 'tool_use' && block.id !== undefined) names.set(block.id, block.name ?? '');
      } else if (block.type === 'tool_result') {
        const name = names.get(block.tool_use_id ?? '') ?? '';
        walk.calls.push({ name, isError: block.is_error === true, resultText: resultText(block) });
        walk.after = 'results';
      } else if (block.type === 'text' && block.text?.startsWith(INTERRUPTED)) walk.after = 'interruption';
      else if (block.type === 'text' && isPrompt(block.text ?? '')) seePrompt(walk);
    }
  }
  return { turn: walk.turn, turns: walk.turns, calls: walk.calls };
}
