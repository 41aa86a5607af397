/** File names are bytes, not text: here each character of a path stands for one byte, so that every name survives the way there and back. */
import { posix } from 'node:path';
import { WORKSPACE_PATH_MAX_BYTES } from '../../../shared/limits.ts';

/** A path whose characters are its bytes (latin1); `/` separates, as everywhere on Linux. */
export type BytePath = string;

export const toBytes = (path: BytePath): Buffer => Buffer.from(path, 'latin1');
export const fromBytes = (bytes: Uint8Array): BytePath => Buffer.from(bytes).toString('latin1');
/** A path as the rest of the program has it (UTF-8 text). */
export const fromText = (path: string): BytePath => fromBytes(Buffer.from(path));
/** For people: what is no UTF-8 becomes U+FFFD. */
export const toText = (path: BytePath): string => toBytes(path).toString('utf8');

/** NUL-separated names, as git writes them with `-z`. */
export const splitNul = (output: Buffer): BytePath[] => {
  const names = fromBytes(output).split('\0');
  if (names.at(-1) === '') names.pop();
  return names;
};

/** Relative, without `.`, `..`, empty parts and NUL, and not longer than the system takes. */
export const isPlainPath = (path: BytePath): boolean =>
  path.length > 0 &&
  path.length < WORKSPACE_PATH_MAX_BYTES &&
  !path.includes('\0') &&
  path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && part.length <= 255);

/** The agent's own git folder, also as file systems that fold case would find it: never a file of the work tree. */
export const isGitFolder = (path: BytePath): boolean => (path.split('/')[0] ?? '').toLowerCase() === '.git';

/**
 * Whether a symbolic link at `path` stays below `root` wherever other links lead: `..` only at its beginning, where real
 * folders are left, since behind another link it would leave from elsewhere.
 */
export const linkStaysInside = (root: BytePath, path: BytePath, target: BytePath): boolean => {
  if (target === '' || target.includes('\0') || target.length >= WORKSPACE_PATH_MAX_BYTES) return false;
  const parts = target.split('/').filter((part) => part !== '' && part !== '.');
  const climbs = parts.findIndex((part) => part !== '..');
  const leading = climbs === -1 ? parts.length : climbs;
  if (parts.slice(leading).includes('..')) return false;
  if (target.startsWith('/')) return leading === 0 && `/${parts.join('/')}/`.startsWith(`${posix.normalize(root)}/`);
  return leading <= path.split('/').length - 1;
};
