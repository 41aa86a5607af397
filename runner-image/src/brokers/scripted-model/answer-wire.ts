/** Puts an answer on the wire in both shapes of the Messages API: one JSON message, or server-sent events. */
import { createHash } from 'node:crypto';
import type { MessagesRequest } from './conversation.ts';
import type { Answer, AnswerPart } from './next-answer.ts';

export interface ModelUsage {
  readonly messageId: string;
  readonly model: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** About four characters a token: plausible, and the same for the same text. */
const tokensOf = (chars: number): number => Math.max(1, Math.ceil(chars / 4));

export const inputTokensOf = (request: MessagesRequest): number =>
  tokensOf(JSON.stringify([request.system ?? '', request.tools ?? [], request.messages]).length);

const partChars = (part: AnswerPart): number =>
  part.kind === 'text'
    ? part.text.length
    : part.kind === 'tool'
      ? JSON.stringify(part.input).length + part.name.length
      : 0;

const idOf = (prefix: string, seed: string): string =>
  `${prefix}_${createHash('sha256').update(seed).digest('hex').slice(0, 24)}`;

export interface AnswerMessage {
  readonly usage: ModelUsage;
  readonly stopReason: 'end_turn' | 'tool_use';
  /** Ids are drawn from the conversation, so that a retried request gets the same message. */
  readonly blocks: readonly (
    | { readonly kind: 'wait'; readonly waitMs: number }
    | { readonly kind: 'content'; readonly start: object; readonly full: object; readonly deltas: readonly object[] }
  )[];
}

const TEXT_PIECE_CHARS = 64;

function textBlock(text: string): AnswerMessage['blocks'][number] {
  const pieces = text.match(new RegExp(`[\\s\\S]{1,${TEXT_PIECE_CHARS}}`, 'gu')) ?? [];
  return {
    kind: 'content',
    start: { type: 'text', text: '' },
    full: { type: 'text', text },
    deltas: pieces.map((piece) => ({ type: 'text_delta', text: piece })),
  };
}

function toolBlock(id: string, name: string, input: object): AnswerMessage['blocks'][number] {
  return {
    kind: 'content',
    start: { type: 'tool_use', id, name, input: {} },
    full: { type: 'tool_use', id, name, input },
    deltas: [{ type: 'input_json_delta', partial_json: JSON.stringify(input) }],
  };
}

export function messageOf(request: MessagesRequest, answer: Answer): AnswerMessage {
  const seed = JSON.stringify(request.messages);
  const outputChars = answer.parts.reduce((sum, part) => sum + partChars(part), 0);
  return {
    usage: {
      messageId: idOf('msg', seed),
      model: request.model,
      inputTokens: inputTokensOf(request),
      outputTokens: tokensOf(outputChars),
    },
    stopReason: answer.parts.some((part) => part.kind === 'tool') ? 'tool_use' : 'end_turn',
    blocks: answer.parts.map((part, index) => {
      if (part.kind === 'wait') return part;
      return part.kind === 'text'
        ? textBlock(part.text)
        : toolBlock(idOf('toolu', `${index}${seed}`), part.name, part.input);
    }),
  };
}

const envelope = (message: AnswerMessage) => ({
  id: message.usage.messageId,
  type: 'message',
  role: 'assistant',
  model: message.usage.model,
});

const usageJson = (usage: ModelUsage, outputTokens: number) => ({
  input_tokens: usage.inputTokens,
  output_tokens: outputTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
});

/** The message as one JSON body. */
export const messageJson = (message: AnswerMessage) => ({
  ...envelope(message),
  content: message.blocks.flatMap((block) => (block.kind === 'content' ? [block.full] : [])),
  stop_reason: message.stopReason,
  stop_sequence: null,
  usage: usageJson(message.usage, message.usage.outputTokens),
});

export type StreamItem = { readonly waitMs: number } | { readonly event: string; readonly data: object };

/** The message as server-sent events, with the waits in between. */
export function* messageStream(message: AnswerMessage): Generator<StreamItem> {
  const event = (type: string, data: object): StreamItem => ({ event: type, data: { type, ...data } });
  yield event('message_start', {
    message: {
      ...envelope(message),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: usageJson(message.usage, 1),
    },
  });
  let index = 0;
  for (const block of message.blocks) {
    if (block.kind === 'wait') {
      yield { waitMs: block.waitMs };
      continue;
    }
    yield event('content_block_start', { index, content_block: block.start });
    for (const delta of block.deltas) yield event('content_block_delta', { index, delta });
    yield event('content_block_stop', { index });
    index += 1;
  }
  yield event('message_delta', {
    delta: { stop_reason: message.stopReason, stop_sequence: null },
    usage: { output_tokens: message.usage.outputTokens },
  });
  yield event('message_stop', {});
}
