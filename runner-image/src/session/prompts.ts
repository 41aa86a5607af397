/** Prompts on their way to the CLI: kept before anything is awaited, so that neither a crash nor a move of the session loses one. */
import type { SendResult } from '../adapters/contract.ts';
import type { SavedSession } from './saved-session.ts';

type Prompt = SavedSession['prompts'][number];
export type PromptResult = { readonly kind: 'sent' } | { readonly kind: 'refused'; readonly reason: string };

export interface PromptsOptions {
  readonly from: Pick<SavedSession, 'prompts' | 'nextPrompt'> | null;
  /** Hands it to the CLI; `null` where none runs. */
  readonly send: (prompt: Prompt) => Promise<SendResult> | null;
  readonly onQueued: () => void;
  /** Settled: it was sent, or the CLI did not take it and it will bring no turn. */
  readonly onSettled: (isSent: boolean) => void;
}

export class Prompts {
  readonly #options: PromptsOptions;
  readonly #sending = new Set<Promise<unknown>>();
  #waiting: readonly Prompt[];
  #next: number;

  constructor(options: PromptsOptions) {
    this.#options = options;
    this.#waiting = options.from?.prompts ?? [];
    this.#next = options.from?.nextPrompt ?? 1;
  }

  /** Those that the CLI may not have yet. */
  get waiting(): readonly Prompt[] {
    return this.#waiting;
  }

  saved(): Pick<SavedSession, 'prompts' | 'nextPrompt'> {
    return { prompts: [...this.#waiting], nextPrompt: this.#next };
  }

  /** Takes what an earlier epoch had not handed over, in the place of all that waits: a boot that a crash cut short does it again. */
  restore(texts: readonly string[]): void {
    this.#waiting = [];
    for (const text of texts) this.queue(text);
  }

  /** To be saved by the caller before it is sent. */
  queue(text: string): Prompt {
    const prompt = { number: this.#next, text };
    this.#next += 1;
    this.#waiting = [...this.#waiting, prompt];
    this.#options.onQueued();
    return prompt;
  }

  send(prompt: Prompt): Promise<PromptResult> {
    const sending = this.#sendOnce(prompt).finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
    return sending;
  }

  /** Resolves when none is on its way any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#sending);
  }

  async #sendOnce(prompt: Prompt): Promise<PromptResult> {
    let isSent = false;
    try {
      const result = await this.#options.send(prompt);
      if (result === null) return { kind: 'refused', reason: 'the CLI is not running' };
      isSent = result.kind === 'sent';
      return result;
    } finally {
      this.#waiting = this.#waiting.filter(({ number }) => number !== prompt.number);
      this.#options.onSettled(isSent);
    }
  }
}
