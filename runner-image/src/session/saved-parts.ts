/** The part of a saved session that others than its core know. */
import type { SavedSession } from './saved-session.ts';

export type SavedParts = Pick<
  SavedSession,
  'ending' | 'prompts' | 'nextPrompt' | 'isPromptDone' | 'lanes' | 'apiInputs' | 'typedInTerm' | 'progress' | 'agent'
> &
  Partial<Pick<SavedSession, 'leaving' | 'checkpointKey'>>;

/** Of a session without any of it. */
export const NO_PARTS: SavedParts = {
  ending: null,
  prompts: [],
  nextPrompt: 1,
  isPromptDone: false,
  lanes: [],
  apiInputs: [],
  typedInTerm: null,
  progress: { prompts: 0, turnsDone: 0, isWorking: false },
  agent: null,
};
