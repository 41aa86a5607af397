/** The boot step that brings a session's checkpoint into its fresh clone, or says why it cannot. */
import { mkdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StateReason } from '../../../shared/session.ts';
import { fetchCheckpoint, fetchToFile } from '../checkpoint/fetch-checkpoint.ts';
import type { CheckpointManifest, Progress } from '../checkpoint/manifest.ts';
import { readManifest, restoreCheckpoint } from '../checkpoint/restore-checkpoint.ts';
import { removeWorkspace } from '../workspace/cleanup.ts';
import { sessionPaths } from '../workspace/layout.ts';
import { privateDirOf } from './cli-life.ts';
import { checkpointFolder } from './session-checkpoints.ts';
import type { RuntimeOptions } from './session-runtime.ts';
import type { Workspace } from './workspace-step.ts';

export interface FetchedCheckpoint {
  readonly archive: string;
  readonly manifest: CheckpointManifest;
}

export interface Restored {
  readonly kind: 'restored';
  readonly progress: Progress;
  /** Where the agent's repository stands. */
  readonly head: { readonly headCommit: string; readonly branch: string | null };
  readonly leftOut: readonly string[];
  /** There was something said, and it is gone. */
  readonly lostConversation: boolean;
}

interface Failed {
  readonly kind: 'failed';
  readonly reason: StateReason;
}

const failed = (code: 'checkpoint_unusable' | 'checkpoint_unreachable', why: string): Failed => ({
  kind: 'failed',
  reason: {
    code,
    message: `The session cannot go on from its checkpoint: ${why}.`.slice(0, 2_000),
    hint: 'Its last diff and its recording show what it did; start a new session from there.',
    step: 'preparing_workspace',
  },
});

/** A remote that no longer has the commit a session began at. */
export const goneReason = (reason: StateReason, baseCommit: string | null): StateReason =>
  baseCommit !== null && reason.code === 'ref_not_found'
    ? failed('checkpoint_unusable', `the repository no longer has the commit ${baseCommit} it began at`).reason
    : reason;

/** The assignment's checkpoint on this machine, checked; `null` for a session that begins. */
export const fetchStep = async (
  { assign, ports }: RuntimeOptions,
  signal: AbortSignal,
): Promise<{ readonly kind: 'fetched'; readonly checkpoint: FetchedCheckpoint | null } | Failed> => {
  const source = assign.checkpoint;
  if (source === null) return { kind: 'fetched', checkpoint: null };
  const folder = checkpointFolder(ports.stateDir);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const archive = join(folder, 'restore.tar.gz');
  const got = await fetchCheckpoint(ports.getObject ?? fetchToFile, source, archive, { clock: ports.clock, signal });
  if (got.kind === 'unusable') return failed('checkpoint_unusable', got.why);
  if (got.kind === 'unreachable') return failed('checkpoint_unreachable', `it could not be fetched: ${got.why}`);
  const read = await readManifest(archive, signal);
  if (read.kind === 'unusable') return failed('checkpoint_unusable', read.why);
  const { manifest } = read;
  const { sessionId, config } = assign;
  if (manifest.sessionId !== sessionId || manifest.provider !== config.provider)
    return failed('checkpoint_unusable', 'it is of another session');
  return { kind: 'fetched', checkpoint: { archive, manifest } };
};

/** Restores into the clone; on a failure the clone is gone again. */
export const restoreStep = async (
  { assign, ports, config }: RuntimeOptions,
  { archive, manifest }: FetchedCheckpoint,
  workspace: Workspace,
  signal: AbortSignal,
): Promise<Restored | Failed> => {
  const { WORKSPACE_ROOT: root } = config;
  const { sessionId } = assign;
  const { conversations } = ports.adapters[assign.config.provider];
  const privateDir = privateDirOf(ports);
  // Of a try before this one.
  await rm(privateDir, { recursive: true, force: true });
  const result = await restoreCheckpoint(
    {
      archive,
      workspace: await realpath(workspace.path),
      conversations: conversations?.folder({ privateDir, workspace: workspace.agentFolder }) ?? null,
      folder: join(sessionPaths(root, sessionId).scratch, 'restore'),
      inherited: ports.gitEnvironment,
      signal,
    },
    manifest,
  );
  await rm(archive, { force: true });
  if (result.kind === 'unusable') {
    await removeWorkspace(root, sessionId, { keepsLease: true });
    return failed('checkpoint_unusable', result.why);
  }
  // A room whose files were all removed is a folder all the same.
  await mkdir(workspace.agentFolder, { recursive: true });
  const hasSpoken = conversations !== undefined && manifest.progress.promptDone;
  const { conversationId } = manifest.progress;
  const place = { privateDir, workspace: workspace.agentFolder };
  const isThere = conversationId !== null && (await conversations?.exists(place, conversationId)) === true;
  const progress = isThere ? manifest.progress : { ...manifest.progress, conversationId: null };
  return {
    kind: 'restored',
    progress,
    head: { headCommit: manifest.head.commit ?? manifest.baseCommit, branch: manifest.head.branch },
    leftOut: result.leftOut,
    lostConversation: hasSpoken && !isThere,
  };
};
