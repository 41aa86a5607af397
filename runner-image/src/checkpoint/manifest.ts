/** The head of a checkpoint: what it is of, and what a runner must know before it can go on from it. */
import { z } from 'zod';
import { Epoch, SessionId } from '../../../shared/ids.ts';
import { CHECKPOINT_REFS_MAX, PENDING_PROMPTS_MAX } from '../../../shared/limits.ts';
import { ProviderId } from '../../../shared/providers.ts';
import { isRefName } from '../workspace/remote-probe.ts';

export const STASH_REF = 'refs/stash';

const ObjectId = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
/** Refs that a checkpoint carries, by names that git takes. */
export const isOwnRef = (name: string): boolean => {
  const [, rest] = /^refs\/(?:heads|tags)\/(.+)$/s.exec(name) ?? [];
  return name === STASH_REF || (rest !== undefined && isRefName(rest));
};

/** What was asked of the session and what it has done of it. */
export const Progress = z.strictObject({
  /** The start's prompt was submitted. */
  promptDone: z.boolean(),
  prompts: z.int().min(0),
  turnsDone: z.int().min(0),
  /** A turn was not over: it has to be asked to go on. */
  turnOpen: z.boolean(),
  /** Prompts that the CLI may not have had yet. */
  pending: z.array(z.string()).max(PENDING_PROMPTS_MAX),
  /** Turns of the scripted model that were played. */
  scriptTurnsDone: z.int().min(0),
  /** The conversation to go on with; `null` for a CLI without one. */
  conversationId: z.string().max(80).nullable(),
});
export type Progress = z.infer<typeof Progress>;

export const NO_PROGRESS: Progress = {
  promptDone: false,
  prompts: 0,
  turnsDone: 0,
  turnOpen: false,
  pending: [],
  scriptTurnsDone: 0,
  conversationId: null,
};

export const CheckpointManifest = z.strictObject({
  v: z.literal(1),
  sessionId: SessionId,
  epoch: Epoch,
  provider: ProviderId,
  /** Where the clone was: links that name it are led to where it is now. */
  workspace: z.string().max(4_096),
  /** The commit that files and objects are told against. */
  baseCommit: ObjectId,
  head: z.strictObject({ branch: z.string().refine(isRefName).nullable(), commit: ObjectId.nullable() }),
  /** All local branches, the stash, and the tags that are not the repository's own. */
  refs: z.array(z.tuple([z.string().refine(isOwnRef), ObjectId])).max(CHECKPOINT_REFS_MAX),
  progress: Progress,
});
export type CheckpointManifest = z.infer<typeof CheckpointManifest>;

/** Where things lie in the archive. The manifest comes first. */
export const ENTRIES = {
  manifest: 'manifest.json',
  objects: 'objects.pack',
  index: 'index',
  removed: 'removed',
  leftOut: 'left-out',
  conversation: 'conversation/',
  git: 'git/',
  files: 'files/',
} as const;
