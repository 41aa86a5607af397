/** What was asked of a session and what it has come to, as a checkpoint tells it to the next epoch. */
import { PROVIDERS, type ProviderId } from '../../../shared/providers.ts';
import { MOVED_PROMPT } from '../adapters/type-prompt.ts';
import type { Progress } from '../checkpoint/manifest.ts';
import type { Prompts } from './prompts.ts';
import type { SessionRuntime } from './session-runtime.ts';

type Known = Pick<SessionRuntime, 'agent' | 'lifetime' | 'options'>;

/** All that waits is in it: how much may wait is bounded where it is taken. */
export const progressOf = (runtime: Known, promptDone: boolean, waiting: Prompts['waiting']): Progress => {
  const { prompts, turnsDone, isWorking } = runtime.lifetime.saved();
  const { saved } = runtime.agent;
  const { assign, ports } = runtime.options;
  const { conversations } = ports.adapters[assign.config.provider];
  return {
    ...{ promptDone, prompts, turnsDone },
    turnOpen: isWorking,
    pending: waiting.map(({ text }) => text),
    scriptTurnsDone: saved?.scriptTurnsDone ?? 0,
    conversationId: (saved?.provider && conversations?.current(saved.provider)) ?? null,
  };
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
