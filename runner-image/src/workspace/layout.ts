/** Where things lie under the workspace root, so that preparing, diffing and cleaning agree about it. */
import { join } from 'node:path';

/** Every path that belongs to one session; all absolute when `root` is. */
export interface SessionPaths {
  /** The agent's clone; the only one of these the agent may see. */
  readonly workspace: string;
  /** The runner's private git data for diffs and ignore rules. */
  readonly scratch: string;
  readonly lease: string;
}

const SESSION_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,119}$/;

export const mirrorsFolder = (root: string): string => join(root, 'mirrors');
export const workspacesFolder = (root: string): string => join(root, 'workspaces');
export const scratchFolder = (root: string): string => join(root, 'scratch');
export const leasesFolder = (root: string): string => join(root, 'leases');

/** Whether a name found on disk can be a session's: sweeping must not touch anything else. */
export const isSessionName = (name: string): boolean => SESSION_ID.test(name);

/** The session's paths. Throws on an id that is no plain name: it would leave the root. */
export const sessionPaths = (root: string, sessionId: string): SessionPaths => {
  if (!isSessionName(sessionId)) throw new Error(`not a session id: ${JSON.stringify(sessionId.slice(0, 80))}`);
  return {
    workspace: join(workspacesFolder(root), sessionId),
    scratch: join(scratchFolder(root), sessionId),
    lease: join(leasesFolder(root), `${sessionId}.json`),
  };
};
