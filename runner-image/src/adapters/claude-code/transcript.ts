/** Reads Claude Code's own transcript as it grows: tokens, and what no hook tells: interruptions and waiting prompts. */
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { CLI_TRANSCRIPT_READ_MAX_BYTES } from '../../../../shared/limits.ts';
import { TokenCounts } from '../../../../shared/usage.ts';

const tokens = z.number().int().min(0).default(0);
const AssistantLine = z.looseObject({
  type: z.literal('assistant'),
  message: z.looseObject({
    id: z.string().min(1).max(120),
    model: z.string().max(100).default('unknown'),
    usage: z.looseObject({
      input_tokens: tokens,
      output_tokens: tokens,
      cache_creation_input_tokens: tokens,
      cache_read_input_tokens: tokens,
    }),
  }),
});
const UserLine = z.looseObject({
  type: z.literal('user'),
  timestamp: z.iso.datetime().optional(),
  message: z.looseObject({ content: z.union([z.string(), z.array(z.looseObject({ text: z.string().optional() }))]) }),
});

const QueueLine = z.looseObject({
  type: z.literal('queue-operation'),
  operation: z.string(),
  content: z.string().optional(),
});

export interface MessageUsage {
  readonly messageId: string;
  readonly model: string;
  readonly tokens: TokenCounts;
}

export type TranscriptFact =
  /** A waiting prompt joined the running turn or was taken back; without `prompt` all of them. */
  | { readonly kind: 'left_queue'; readonly prompt?: string }
  | { readonly kind: 'usage'; readonly usage: MessageUsage }
  | { readonly kind: 'interrupted' /** When the CLI wrote it down. */; readonly atMs?: number };

/** What one line says, if anything. A line that is no JSON is one the CLI is still writing, or not ours to judge. */
export function factOf(line: string): TranscriptFact | undefined {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    // Not a record; the next one stands on its own.
    return undefined;
  }
  const assistant = AssistantLine.safeParse(json);
  if (assistant.success) {
    const { id, model, usage } = assistant.data.message;
    const counts = {
      inputTokens: usage.input_tokens,
      outputTokens: usage.output_tokens,
      cacheReadTokens: usage.cache_read_input_tokens,
      cacheWriteTokens: usage.cache_creation_input_tokens,
      reasoningTokens: 0,
    };
    return { kind: 'usage', usage: { messageId: id, model, tokens: counts } };
  }
  const queue = QueueLine.safeParse(json);
  if (queue.success) {
    const { operation, content } = queue.data;
    // Taking a prompt out to play it is known from the turn's end; only its text could say which one it was.
    if (operation === 'enqueue' || (operation === 'dequeue' && content === undefined)) return undefined;
    return { kind: 'left_queue', ...(content === undefined ? {} : { prompt: content }) };
  }
  const user = UserLine.safeParse(json);
  if (!user.success) return undefined;
  const {
    timestamp,
    message: { content },
  } = user.data;
  const texts = typeof content === 'string' ? [content] : content.map((block) => block.text ?? '');
  return texts.some((text) => text.startsWith('[Request interrupted by user'))
    ? { kind: 'interrupted', ...(timestamp === undefined ? {} : { atMs: Date.parse(timestamp) }) }
    : undefined;
}

export interface LineTail {
  /** The complete lines that were appended since the last call, at most CLI_TRANSCRIPT_READ_MAX_BYTES of them. */
  read(file: string): Promise<readonly string[]>;
  /** Bytes read so far. */
  readonly offset: number;
}

/** Reads on from `fromOffset`, the beginning of a line. */
export function tailLines(fromOffset = 0): LineTail {
  let offset = fromOffset;
  const read: LineTail['read'] = async (file) => {
    const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
      // The CLI makes the file with its first message.
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (handle === undefined) return [];
    try {
      const { size } = await handle.stat();
      const wanted = Math.min(size - offset, CLI_TRANSCRIPT_READ_MAX_BYTES);
      if (wanted <= 0) return [];
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(wanted), 0, wanted, offset);
      const end = buffer.lastIndexOf(0x0a, bytesRead - 1) + 1;
      // A line longer than one look can never be read whole: it is passed over.
      offset += end === 0 && bytesRead === CLI_TRANSCRIPT_READ_MAX_BYTES ? bytesRead : end;
      return buffer
        .subarray(0, end)
        .toString('utf8')
        .split('\n')
        .filter((line) => line !== '');
    } finally {
      await handle.close();
    }
  };
  return {
    read,
    get offset() {
      return offset;
    },
  };
}

/** Message ids remembered against repetition, here and over a crash of the runner: the repeats of one stand close together. */
const IDS_MAX = 10_000;
const IDS_SAVED_MAX = 100;

export const SavedUsage = z.strictObject({
  given: z.array(z.string()),
  open: z.strictObject({ messageId: z.string(), model: z.string(), tokens: TokenCounts }).nullable(),
});
export type SavedUsage = z.infer<typeof SavedUsage>;

export interface UsageOnce {
  add(usage: MessageUsage): void;
  flush(): void;
  saved(): SavedUsage;
}

/**
 * Gives each message's usage once. The same message is written once for each content block, its output tokens complete only in the last:
 * so one is given out when the next begins, or when `flush` says that the model is silent.
 */
export function usageOnce(deliver: (usage: MessageUsage) => void, from: SavedUsage): UsageOnce {
  const given = new Set<string>(from.given);
  let open: MessageUsage | null = from.open;
  const flush = (): void => {
    if (open === null) return;
    const usage = open;
    open = null;
    const oldest = given.values().next();
    if (given.size >= IDS_MAX && oldest.done !== true) given.delete(oldest.value);
    given.add(usage.messageId);
    deliver(usage);
  };
  return {
    add(usage) {
      if (given.has(usage.messageId)) return;
      if (open !== null && open.messageId !== usage.messageId) flush();
      open = usage;
    },
    flush,
    saved: () => ({ given: [...given].slice(-IDS_SAVED_MAX), open }),
  };
}
