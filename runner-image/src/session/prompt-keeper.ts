/** What a session was asked and has come to: kept before anything is awaited, so that neither a crash nor a move of the session loses any of it. */
import { CONTINUE_PROMPT } from '../adapters/type-prompt.ts';
import type { Progress } from '../checkpoint/manifest.ts';
import { type PromptResult, Prompts } from './prompts.ts';
import type { SavedSession } from './saved-session.ts';
import { countsFrom, progressOf, promptsFrom, promptsFull } from './session-progress.ts';
import type { SessionRuntime } from './session-runtime.ts';

type Session = Pick<SessionRuntime, 'core' | 'agent' | 'lifetime' | 'options' | 'isEnding'>;

export class PromptKeeper {
  readonly #session: Session;
  readonly #prompts: Prompts;
  #isFirstDone: boolean;
  /** As it was before the CLI was told to stop, which ends its turn. */
  #last: Progress | null = null;

  constructor(session: Session, saved: SavedSession | null) {
    this.#session = session;
    this.#isFirstDone = saved?.isPromptDone ?? false;
    this.#prompts = new Prompts({
      from: saved,
      send: ({ text, number }) => session.agent.provider?.sendInput(text, number) ?? null,
      onQueued: () => session.lifetime.prompted(),
      onSettled: (isSent) => {
        if (!isSent) session.lifetime.promptRefused();
        session.core.save();
      },
    });
  }

  /** The prompt of the start was given to the CLI, or will be after a crash. */
  get isFirstDone(): boolean {
    return this.#isFirstDone;
  }

  saved(): Pick<SavedSession, 'prompts' | 'nextPrompt' | 'isPromptDone'> {
    return { ...this.#prompts.saved(), isPromptDone: this.#isFirstDone };
  }

  /** Why one more would not be taken; `null`: it would be. */
  full(text: string): string | null {
    return promptsFull(this.#session, this.#prompts.waiting, text);
  }

  /** Hands a prompt to the CLI in its own way. Beyond what may wait none is taken, and its sender is told. */
  async submit(text: string, source?: 'first'): Promise<PromptResult> {
    const reason = this.full(text);
    if (reason !== null) return { kind: 'refused', reason };
    const { core } = this.#session;
    const prompt = this.#prompts.queue(text);
    const sizeBytes = Buffer.byteLength(text);
    if (source === 'first') this.#isFirstDone = true;
    core.commit(source ? [{ type: 'input_received', viewerId: null, sizeBytes, source: 'prompt' }] : []);
    return await this.#prompts.send(prompt);
  }

  /** After a crash or a move: what may not have reached the CLI is handed over, under its old number if it had one. */
  async submitAgain(): Promise<void> {
    for (const prompt of this.#prompts.waiting) {
      const result = await this.#prompts.send(prompt);
      if (result.kind === 'sent' || this.#session.isEnding) continue;
      const message = `A prompt was not taken when the session went on: ${result.reason}`.slice(0, 1_000);
      this.#session.core.record({ type: 'alert_raised', code: 'input_lost', message });
    }
  }

  /** An answer was cut: the CLI is asked to go on. @returns what sends that, once the state that knows of it is kept */
  askToGoOn(): () => Promise<unknown> {
    // One that waits already says it for both.
    if (this.#prompts.waiting.some(({ text }) => text === CONTINUE_PROMPT)) return async () => undefined;
    const prompt = this.#prompts.queue(CONTINUE_PROMPT);
    return () => this.#prompts.send(prompt);
  }

  /** Goes on from what an earlier epoch had come to. */
  restore(progress: Progress): void {
    const { lifetime, options, core } = this.#session;
    this.#isFirstDone = progress.promptDone;
    lifetime.restore(countsFrom(progress));
    this.#prompts.restore(promptsFrom(progress, options.assign.config.provider));
    core.save();
  }

  /** What a checkpoint says of the session. */
  progress(): Progress {
    return this.#last ?? this.#now().progress;
  }

  /** From here on the session counts as it is now, whatever its CLI does at its end. Resolves when prompts on their way have arrived. */
  async freeze(): Promise<void> {
    await this.#prompts.settled();
    const { progress, lost } = this.#now();
    this.#last = progress;
    if (lost === 0) return;
    const message = `${lost} prompts that waited in the CLI are too much to be taken along: send them again.`;
    this.#session.core.record({ type: 'alert_raised', code: 'input_lost', message });
  }

  #now() {
    return progressOf(this.#session, this.#isFirstDone, this.#prompts.waiting);
  }
}
