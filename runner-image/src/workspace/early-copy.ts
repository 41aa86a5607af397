/** Copies a steady mirror while its remote is still being asked: most often there is nothing new, and then the copy counts. */
import { rm } from 'node:fs/promises';
import { type CloneRequest, cloneMirror } from './clone-workspace.ts';
import { isCommitName, isRefName } from './remote-probe.ts';
import { isStillSteady, type SteadyMirror } from './steady-mirror.ts';

export interface EarlyCopyRequest extends CloneRequest {
  readonly steady: SteadyMirror;
  readonly ref?: string;
}

export interface EarlyCopy {
  /** Whether the copy stands; with `false`, also after `signal`, nothing of it is left. */
  take(signal?: AbortSignal): Promise<boolean>;
  /** Ends it, and leaves nothing. */
  discard(): Promise<void>;
}

/** A commit may be missing from the mirror although no branch and no tag is; whatever is no name must not reach git. */
export const mayCopyEarly = (ref: string | undefined): boolean =>
  ref === undefined || (isRefName(ref) && !isCommitName(ref));

/** Begins the copy. The folder must not exist; nobody else may use it before `take` or `discard` has settled. */
export const beginEarlyCopy = (request: EarlyCopyRequest): EarlyCopy => {
  const { base, mirrorFolder, workspace, steady, ref } = request;
  const ending = new AbortController();
  const signal = base.signal ? AbortSignal.any([base.signal, ending.signal]) : ending.signal;
  // What is checked out at once is one program less; a branch of the session's own is made afterwards.
  const checkout = { branch: ref?.replace(/^refs\/heads\//, '') ?? null };
  const copying = cloneMirror({ ...request, base: { ...base, signal }, checkout });
  const discard = async (): Promise<void> => {
    ending.abort();
    await copying;
    await rm(workspace, { recursive: true, force: true });
  };
  return {
    async take(late) {
      if (late?.aborted) ending.abort();
      late?.addEventListener('abort', () => ending.abort(), { once: true });
      const failed = await copying;
      if (failed === null && (await isStillSteady(mirrorFolder, steady))) return true;
      await discard();
      return false;
    },
    discard,
  };
};
