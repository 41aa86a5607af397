/** What of the agent's `.git` a checkpoint carries as files: what git cannot rebuild from objects and refs. */
import { type BytePath, isPlainPath } from './byte-path.ts';

/** Files at the top of `.git`. Objects, refs, HEAD and the index go their own ways; logs and caches are left. */
const FILES = new Set([
  'config',
  'config.worktree',
  'MERGE_HEAD',
  'MERGE_MSG',
  'MERGE_MODE',
  'CHERRY_PICK_HEAD',
  'REVERT_HEAD',
  'REBASE_HEAD',
  'ORIG_HEAD',
  'SQUASH_MSG',
  'COMMIT_EDITMSG',
  'BISECT_LOG',
  'BISECT_START',
  'BISECT_TERMS',
  'BISECT_NAMES',
  'BISECT_EXPECTED_REV',
  'BISECT_ANCESTORS_OK',
  'logs/refs/stash',
]);
const FOLDERS = ['info', 'hooks', 'rebase-merge', 'rebase-apply', 'sequencer', 'modules'] as const;
/** Rebuilt by git from what is there. */
const REBUILT = new Set(['info/refs', 'info/commit-graph']);

/** Folders of `.git` that are carried with all their files. */
export const GIT_FOLDERS: readonly BytePath[] = FOLDERS;
export const GIT_FILES: readonly BytePath[] = [...FILES];

/** Whether a restore may put a file there. */
export const isGitFile = (path: BytePath): boolean =>
  isPlainPath(path) &&
  !REBUILT.has(path) &&
  (FILES.has(path) || FOLDERS.some((folder) => path.startsWith(`${folder}/`)));

/** Files that name commits no ref holds: the other side of a merge, a rebase in the middle, the stash below its top. */
const NAMING = /^(?:[A-Z_]+_HEAD|BISECT_[A-Z_]+|logs\/refs\/stash|(?:rebase-merge|rebase-apply|sequencer)\/[\w.-]+)$/;
export const namesCommits = (path: BytePath): boolean => NAMING.test(path);

const OBJECT_ID = /\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b/g;
export const objectIdsIn = (text: string): string[] => [...new Set(text.match(OBJECT_ID) ?? [])];
