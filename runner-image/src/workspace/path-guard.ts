/**
 * Says whether a path leads into the workspace. A path with `..` after a symbolic link means one thing to the kernel and
 * another to programs that shorten it first; it counts as inside only when both readings are.
 */
import { lstat, readlink, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { SYMLINKS_MAX, WORKSPACE_PATH_MAX_BYTES } from '../../../shared/limits.ts';

export type PathVerdict =
  /** `path` is free of links and absolute: use it, not the candidate. `relative` is '' for the root itself. */
  | { readonly kind: 'inside'; readonly path: string; readonly relative: string }
  | { readonly kind: 'outside'; readonly reason: 'escapes' | 'invalid' | 'unreadable' };

const errorCode = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

type Entry =
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'other' }
  | { readonly kind: 'absent' };

const readEntry = async (path: string): Promise<Entry> => {
  try {
    if (!(await lstat(path)).isSymbolicLink()) return { kind: 'other' };
    return { kind: 'link', target: await readlink(path) };
  } catch (error) {
    const code = errorCode(error);
    // ENOTDIR: a file where a folder would be; nothing below it exists. EINVAL: no link any more when it was read.
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EINVAL') return { kind: 'absent' };
    throw error;
  }
};

/** Walks as the kernel does, and goes on by names alone where nothing exists yet. `null`: too many links. */
const walk = async (path: string): Promise<string | null> => {
  const names = path.split('/').reverse();
  let at = '/';
  let links = 0;
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      at = dirname(at);
      continue;
    }
    const next = join(at, name);
    const entry = await readEntry(next);
    if (entry.kind !== 'link') {
      at = next;
      continue;
    }
    links += 1;
    if (links > SYMLINKS_MAX) return null;
    names.push(...entry.target.split('/').reverse());
    if (isAbsolute(entry.target)) at = '/';
  }
  return at;
};

const contains = (root: string, path: string): boolean =>
  path === root || path.startsWith(root === sep ? sep : root + sep);

/**
 * Judges `candidate` (absolute, or relative to `root`), which need not exist. The answer holds for the moment it was
 * given: whoever opens a path that an agent can change at the same time uses `openInside`.
 * Throws when `root` itself does not exist.
 */
export const insideWorkspace = async (root: string, candidate: string): Promise<PathVerdict> => {
  if (candidate.includes('\0') || Buffer.byteLength(candidate) > WORKSPACE_PATH_MAX_BYTES) {
    return { kind: 'outside', reason: 'invalid' };
  }
  const realRoot = await realpath(root);
  try {
    const asKernel = await walk(isAbsolute(candidate) ? candidate : `${realRoot}/${candidate}`);
    const shortened = await walk(resolve(realRoot, candidate));
    if (asKernel === null || shortened === null) return { kind: 'outside', reason: 'invalid' };
    if (!contains(realRoot, asKernel) || !contains(realRoot, shortened)) return { kind: 'outside', reason: 'escapes' };
    return { kind: 'inside', path: asKernel, relative: relative(realRoot, asKernel) };
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENAMETOOLONG') return { kind: 'outside', reason: 'invalid' };
    // What cannot be looked at is not known to be inside.
    return { kind: 'outside', reason: 'unreadable' };
  }
};
