/** Judges the paths a command names: each must lie in the workspace from every folder the line may have reached by then. */
import { placeOf } from './path-inside.ts';
import { UNRESOLVED } from './split-command.ts';

export interface Denial {
  readonly rule: string;
  readonly reason: string;
}

/** What a command does with a path; `delete` and `permissions` only name another rule. */
export type PathUse = 'read' | 'write' | 'delete' | 'permissions';

export interface Reach {
  readonly workspace: string;
  /** Every folder the command may run in. */
  readonly cwds: readonly string[];
}

const DEVICES = /^\/dev\/(null|zero|stdin|stdout|stderr|tty|urandom)$/;
const RULE_OF_USE: Readonly<Record<PathUse, string>> = {
  read: 'outside_workspace',
  write: 'outside_workspace',
  delete: 'delete_outside',
  permissions: 'permissions_outside',
};

/** A word as it stands in a reason. */
export const shown = (word: string): string => word.replaceAll(UNRESOLVED, '').slice(0, 200);

export const undecodable = (reason: string): Denial => ({ rule: 'undecodable', reason });

/** Why the path cannot be known before the shell has run. */
function unknowable(path: string): string | undefined {
  if (path.includes(UNRESOLVED)) return 'what it stands for is only known to the shell';
  // `.?` and `.*` match `..`; behind a pattern `..` leaves a folder whose name is not known.
  if (/(^|\/)\.[?*[]/.test(path) || /[?*[].*\/\.\.(\/|$)/.test(path)) return 'the pattern may climb';
  return undefined;
}

function judgeFrom(path: string, cwd: string, use: PathUse, workspace: string): Denial | undefined {
  const place = placeOf(path, cwd, workspace);
  if (place.kind === 'unusable') return undecodable(`${shown(path)}: ${place.why}`);
  if (place.kind === 'outside') return { rule: RULE_OF_USE[use], reason: `${shown(path)} lies outside the workspace` };
  if (use === 'read') return undefined;
  if (use === 'delete' && place.relativePath === '')
    return { rule: 'delete_outside', reason: 'the workspace itself is not deleted' };
  // What stands in .git runs as hooks, filters and aliases of everybody who uses the clone.
  if (place.relativePath.split('/').some((name) => name.toLowerCase() === '.git'))
    return { rule: 'git_internals', reason: "git's own files are changed by git commands only" };
  return undefined;
}

/** The first path of `paths` that may not be used like that. */
export function judgePaths(paths: readonly string[], use: PathUse, reach: Reach): Denial | undefined {
  for (const path of paths) {
    if (path === '' || path === '-' || DEVICES.test(path)) continue;
    const why = unknowable(path);
    if (why !== undefined) return undecodable(`${shown(path)}: ${why}`);
    for (const cwd of reach.cwds) {
      const denial = judgeFrom(path, cwd, use, reach.workspace);
      if (denial !== undefined) return denial;
    }
  }
  return undefined;
}
