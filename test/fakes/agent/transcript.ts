/** Writes a transcript as Claude Code does, as far as the adapter reads it. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Transcript {
  readonly file: string;
  interrupted(): void;
  /** One model answer of about this length. */
  answered(text: string): void;
}

const CHARS_PER_TOKEN = 4;

export function openTranscript(home: string, sessionId: string): Transcript {
  const folder = join(home, '.claude', 'projects', process.cwd().replaceAll('/', '-'));
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${sessionId}.jsonl`);
  const append = (line: object) =>
    appendFileSync(file, `${JSON.stringify({ ...line, timestamp: new Date().toISOString() })}\n`);
  let inputTokens = 1_000;
  return {
    file,
    interrupted: () =>
      append({ type: 'user', message: { content: [{ type: 'text', text: '[Request interrupted by user]' }] } }),
    answered(text) {
      const output_tokens = Math.ceil(text.length / CHARS_PER_TOKEN);
      const usage = { input_tokens: inputTokens, output_tokens };
      append({ type: 'assistant', message: { id: `msg_${crypto.randomUUID()}`, model: 'fake', usage } });
      inputTokens += output_tokens;
    },
  };
}
