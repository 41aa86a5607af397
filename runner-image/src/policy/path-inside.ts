/** Finds where a path really leads before it is compared: links inside the workspace may point out of it. */
import { lstatSync, realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';

export type PathPlace =
  | { readonly kind: 'inside' /** From the workspace's root, without links. */; readonly relativePath: string }
  | { readonly kind: 'outside' }
  | { readonly kind: 'unusable'; readonly why: string };

const errorCode = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : 'unknown';

const isDangling = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

/** `link/..` is the link's folder for a program that normalises paths, and the parent of its target for the system. */
function climbsFromLink(path: string, cwd: string): boolean {
  let at = path.startsWith('/') ? '/' : cwd;
  return path.split('/').some((name) => {
    if (name === '..' && lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() === true) return true;
    at = resolve(at, name);
    return false;
  });
}

/** The real path of the deepest part that exists, with the rest appended; undefined where a link leads nowhere. */
function realPathOf(path: string): string | undefined {
  let existing = path;
  const rest: string[] = [];
  for (;;) {
    try {
      return join(realpathSync(existing), ...rest);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT' || isDangling(existing) || existing === dirname(existing)) return undefined;
      rest.unshift(existing.slice(dirname(existing).length).replace(/^\//, ''));
      existing = dirname(existing);
    }
  }
}

/** Where `path` (relative to `cwd`) leads, seen from `workspace`. A later exchange of a link is not prevented here: that is the sandbox's part. */
export function placeOf(path: string, cwd: string, workspace: string): PathPlace {
  if (path.includes('\0')) return { kind: 'unusable', why: 'the path contains NUL' };
  if (/^~/.test(path)) return { kind: 'outside' };
  if (climbsFromLink(path, cwd)) return { kind: 'unusable', why: 'the path climbs out of a link' };
  const real = realPathOf(resolve(cwd, path));
  if (real === undefined)
    return { kind: 'unusable', why: 'the path leads through a broken link or a folder that cannot be read' };
  const relativePath = relative(realpathSync(workspace), real);
  const isInside = relativePath !== '..' && !relativePath.startsWith('../') && !isAbsolute(relativePath);
  return isInside ? { kind: 'inside', relativePath } : { kind: 'outside' };
}
