/** What was asked of a session and what it has come to, as a checkpoint tells it to the next epoch. */
import {
  PENDING_PROMPTS_MAX,
  PENDING_PROMPTS_MAX_BYTES,
  QUEUED_PROMPTS_MAX,
  QUEUED_PROMPTS_MAX_BYTES,
} from '../../../shared/limits.ts';
import { PROVIDERS, type ProviderId } from '../../../shared/providers.ts';
import { MOVED_PROMPT } from '../adapters/type-prompt.ts';
import type { Progress } from '../checkpoint/manifest.ts';
import type { Prompts } from './prompts.ts';
import type { SessionRuntime } from './session-runtime.ts';

type Known = Pick<SessionRuntime, 'agent' | 'lifetime' | 'options'>;

/** All that its CLI has not begun with, in the order in which it was asked: in the CLI, and here. */
const pendingOf = ({ agent, options }: Known, waiting: Prompts['waiting']): string[] => {
  const { conversations } = options.ports.adapters[options.assign.config.provider];
  const provider = agent.saved?.provider;
  const inCli = provider && conversations ? conversations.waiting(provider) : [];
  return [...inCli, ...waiting.map(({ text }) => text)];
};

/** Why one more prompt is not taken; `null`: it is. */
export const promptsFull = (runtime: Known, waiting: Prompts['waiting'], text: string): string | null => {
  const pending = pendingOf(runtime, waiting);
  const sizeBytes = Buffer.byteLength(JSON.stringify([...pending, text]));
  if (pending.length < QUEUED_PROMPTS_MAX && sizeBytes <= QUEUED_PROMPTS_MAX_BYTES) return null;
  return `${pending.length} prompts wait for the CLI already; send it again when it has taken some of them`;
};

/** What is beyond the bound can only have been typed into the CLI itself: the latest of that is left out, and told. */
const bounded = (pending: readonly string[]): string[] => {
  let sizeBytes = 0;
  return pending.slice(0, PENDING_PROMPTS_MAX).filter((text) => {
    sizeBytes += Buffer.byteLength(JSON.stringify(text));
    return sizeBytes <= PENDING_PROMPTS_MAX_BYTES;
  });
};

export interface ProgressNow {
  readonly progress: Progress;
  /** Prompts that the next epoch will not know of. */
  readonly lost: number;
}

export const progressOf = (runtime: Known, promptDone: boolean, waiting: Prompts['waiting']): ProgressNow => {
  const { prompts, turnsDone, isWorking } = runtime.lifetime.saved();
  const { saved } = runtime.agent;
  const { assign, ports } = runtime.options;
  const { conversations } = ports.adapters[assign.config.provider];
  const all = pendingOf(runtime, waiting);
  const pending = bounded(all);
  const progress = {
    ...{ promptDone, prompts, turnsDone, pending },
    turnOpen: isWorking,
    scriptTurnsDone: saved?.scriptTurnsDone ?? 0,
    conversationId: (saved?.provider && conversations?.current(saved.provider)) ?? null,
  };
  return { progress, lost: all.length - pending.length };
};

/** What the next epoch hands to its CLI: that its turn was not over, said once however often it moved, and what had not reached the one before. */
export const promptsFrom = ({ turnOpen, pending }: Progress, provider: ProviderId): string[] => {
  const hasTurns = PROVIDERS[provider].capabilities.gate !== 'not_needed';
  return turnOpen && hasTurns ? [MOVED_PROMPT, ...pending.filter((text) => text !== MOVED_PROMPT)] : [...pending];
};

/** Prompts and turns to count on from; what will be handed to the CLI again is counted when it is. */
export const countsFrom = ({ prompts, turnsDone, turnOpen, pending }: Progress) => ({
  prompts: Math.max(0, prompts - pending.length - (turnOpen ? 1 : 0)),
  turnsDone,
  isWorking: false,
});
