/** Turns what git said into a reason and a sentence a person can act on. */
import type { GitResult } from './git.ts';

export type WorkspaceFailureCode =
  | 'repository_not_found'
  | 'ref_not_found'
  | 'access_denied'
  | 'room_not_found'
  | 'host_unreachable'
  | 'timeout'
  | 'disk_full'
  | 'git_missing'
  | 'unsupported_url'
  | 'workspace_exists'
  | 'cancelled'
  | 'git_failed';

export interface WorkspaceFailure {
  readonly kind: 'failed';
  readonly code: WorkspaceFailureCode;
  /** What happened, one sentence, without credentials. */
  readonly message: string;
  /** What the person can do about it. */
  readonly hint: string;
}

export const failure = (code: WorkspaceFailureCode, message: string, hint: string): WorkspaceFailure => ({
  kind: 'failed',
  code,
  message,
  hint,
});

type Row = readonly [pattern: RegExp, code: WorkspaceFailureCode, message: string, hint: string];

/** The first row that matches wins: git adds "not found"-like lines to nearly every failure, so those come last. */
const ROWS: readonly Row[] = [
  [
    /No space left on device|Disk quota exceeded|ENOSPC|EDQUOT/i,
    'disk_full',
    'The disk of the runner is full.',
    'Free space under the workspace root, or end sessions that are no longer needed.',
  ],
  [
    /transport '[^']*' not allowed/i,
    'unsupported_url',
    'The repository points to a transport that is not allowed.',
    'Use an https or ssh address.',
  ],
  [
    /returned error: 30\d/i,
    'repository_not_found',
    'The repository has moved to another address.',
    'Open the address in a browser and use the one it leads to.',
  ],
  [
    /Could not resolve host|Temporary failure in name resolution|Name or service not known|Failed to connect|Couldn't connect|Connection refused|Connection timed out|Connection reset|Network is unreachable|No route to host|Operation timed out|SSL|certificate/i,
    'host_unreachable',
    'The host of the repository cannot be reached.',
    'Check the address and whether this machine may reach that host.',
  ],
  [
    /Authentication failed|could not read (Username|Password)|Permission denied|publickey|Host key verification failed|returned error: 40[13]|Access denied|dubious ownership|Too many authentication failures/i,
    'access_denied',
    'The repository refused access.',
    'Check the address; for a private repository add a token that may read it.',
  ],
  [
    /couldn't find remote ref|Remote branch .* not found|unknown revision|not a valid object name|Needed a single revision|upload-pack: not our ref/i,
    'ref_not_found',
    'The repository has no such branch, tag or commit.',
    'Check the spelling, and that it was pushed.',
  ],
  [
    /Repository not found|does not appear to be a git repository|not a git repository|returned error: 404|returned error: 410|' not found|does not exist|No such file or directory|not valid: is this a git repository/i,
    'repository_not_found',
    'There is no git repository at this address.',
    'Check the address; for a private repository add a token.',
  ],
];

const lastLine = (text: string): string => {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const told = lines.findLast((line) => /^(fatal|error|remote):/.test(line)) ?? lines.at(-1) ?? 'git gave no reason';
  return told.replace(/:\/\/[^/@\s]*@/g, '://').slice(0, 300);
};

/** Reads what git wrote on standard error (in the C locale). */
export const failureFromText = (stderr: string): WorkspaceFailure => {
  for (const [pattern, code, message, hint] of ROWS) {
    if (pattern.test(stderr)) return failure(code, message, hint);
  }
  return failure('git_failed', `git failed: ${lastLine(stderr)}`, 'Try again; if it stays, look at the runner log.');
};

/** The failure of a call that did not end with code 0. */
export const failureFromResult = (result: GitResult): WorkspaceFailure => {
  switch (result.kind) {
    case 'exited':
      return failureFromText(result.stderr);
    case 'timeout':
      return failure(
        'timeout',
        'The repository did not answer in time.',
        'Try again; a very large repository or a slow host may need a longer limit.',
      );
    case 'cancelled':
      return failure('cancelled', 'Preparing was stopped.', 'Start the session again if that was not meant.');
    case 'git_missing':
      return failure('git_missing', 'git is not installed on the runner.', 'Install git 2.35 or newer.');
  }
};
