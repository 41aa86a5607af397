/** What must be known of Claude Code to go on with it after a crash of the runner process. */
import { z } from 'zod';
import { SavedGate, UNPROVEN } from './gate-proof.ts';
import { SavedCalls } from './tool-gate.ts';
import { NO_TRANSCRIPT, SavedTranscript } from './transcript-reader.ts';
import { NO_TURNS, SavedTurns } from './turns.ts';

export const SavedClaude = z.strictObject({
  /** Hook clients ask there, also those that were started before the crash. */
  socketPath: z.string(),
  isStarted: z.boolean(),
  hasExited: z.boolean(),
  hasSaidGoodbye: z.boolean(),
  gate: SavedGate,
  turns: SavedTurns,
  calls: SavedCalls,
  transcript: SavedTranscript,
  /** Answers that may not have reached their clients, by the key of the request. */
  answers: z.array(z.tuple([z.string(), z.string()])),
  /** The highest number of a prompt of ours that the CLI reported. */
  reportedPrompt: z.int().min(0),
});
export type SavedClaude = z.infer<typeof SavedClaude>;

export const NEW_CLAUDE: SavedClaude = {
  socketPath: '',
  isStarted: false,
  hasExited: false,
  hasSaidGoodbye: false,
  gate: UNPROVEN,
  turns: NO_TURNS,
  calls: [],
  transcript: NO_TRANSCRIPT,
  answers: [],
  reportedPrompt: 0,
};
