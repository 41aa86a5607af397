/** One way to ask git and to fail, for all that makes or restores a checkpoint. */
import type { GitResult } from '../workspace/git.ts';

/** git did not do what was asked; the message is for the log and a person. */
export class GitFailed extends Error {}

const reasonOf = (result: GitResult): string => {
  if (result.kind !== 'exited') return result.kind;
  if (result.cut) return 'the list is too long';
  return `code ${result.code}: ${result.stderr.slice(-300)}`;
};

/** Standard output of a call that did what was asked. */
export const outputOf = (what: string, result: GitResult): Buffer => {
  if (result.kind === 'exited' && result.code === 0 && !result.cut) return result.stdout;
  throw new GitFailed(`${what}: ${reasonOf(result)}`);
};
