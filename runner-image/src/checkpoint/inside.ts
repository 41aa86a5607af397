/**
 * Opens what lies below a folder that an agent changes at the same time: every answer is about the object that was opened, at
 * the place where it was asked for, so a folder exchanged for a link leads nowhere.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, opendir, readlink } from 'node:fs/promises';
import { posix } from 'node:path';
import { type BytePath, fromBytes, toBytes } from './byte-path.ts';

const FILE_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
const FOLDER_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECTORY;

const openAt = async (root: BytePath, relative: BytePath, flags: number): Promise<FileHandle | null> => {
  const path = relative === '' ? root : `${root}/${relative}`;
  let handle: FileHandle;
  try {
    handle = await open(toBytes(path), flags);
  } catch {
    // Absent, a link, a socket, closed to us: for the caller it is not there.
    return null;
  }
  try {
    if (fromBytes(await readlink(`/proc/self/fd/${handle.fd}`, { encoding: 'buffer' })) === path) return handle;
  } catch {
    // Without /proc nothing proves where it is: then it is not read.
  }
  await handle.close();
  return null;
};

/** A regular file, or `null`. The caller closes it. */
export const openFile = async (root: BytePath, relative: BytePath): Promise<FileHandle | null> => {
  const handle = await openAt(root, relative, FILE_FLAGS);
  if (handle === null) return null;
  const isFile = await handle.stat().then(
    (stats) => stats.isFile(),
    () => false,
  );
  if (isFile) return handle;
  await handle.close();
  return null;
};

const parentOf = (relative: BytePath): BytePath => {
  const parent = posix.dirname(relative);
  return parent === '.' ? '' : parent;
};

/** Where the symbolic link points; `null` when there is none. */
export const readLink = async (root: BytePath, relative: BytePath): Promise<BytePath | null> => {
  const folder = await openAt(root, parentOf(relative), FOLDER_FLAGS);
  if (folder === null) return null;
  try {
    const name = toBytes(`/proc/self/fd/${folder.fd}/${posix.basename(relative)}`);
    return fromBytes(await readlink(name, { encoding: 'buffer' }));
  } catch {
    // No link, or none any more.
    return null;
  } finally {
    await folder.close();
  }
};

export interface Entry {
  readonly path: BytePath;
  readonly kind: 'file' | 'link' | 'folder' | 'special';
}

/** The entries of a folder ('' for the root), in order of their names; none when it is no folder. */
const entriesOf = async (root: BytePath, relative: BytePath, maxEntries: number): Promise<Entry[]> => {
  const folder = await openAt(root, relative, FOLDER_FLAGS);
  if (folder === null) return [];
  const found: Entry[] = [];
  try {
    // `latin1` names: one character for one byte.
    const listing = await opendir(`/proc/self/fd/${folder.fd}`, { encoding: 'latin1' });
    for await (const entry of listing) {
      const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
      if (entry.isFile()) found.push({ path, kind: 'file' });
      else if (entry.isSymbolicLink()) found.push({ path, kind: 'link' });
      else found.push({ path, kind: entry.isDirectory() ? 'folder' : 'special' });
      if (found.length >= maxEntries) break;
    }
  } catch {
    // It went away while it was read: what was seen until then stands.
  } finally {
    await folder.close();
  }
  return found.sort((one, other) => (one.path < other.path ? -1 : 1));
};

/** All files and links below a folder, at most `maxEntries`; a link is never followed, what is neither is left out. */
export async function* walkFiles(root: BytePath, relative: BytePath, maxEntries: number): AsyncGenerator<Entry> {
  const folders = [relative];
  let seen = 0;
  for (let folder = folders.pop(); folder !== undefined && seen < maxEntries; folder = folders.pop()) {
    const entries = await entriesOf(root, folder, maxEntries - seen);
    seen += entries.length;
    for (const entry of entries) {
      if (entry.kind === 'folder') folders.push(entry.path);
      else if (entry.kind !== 'special') yield entry;
    }
  }
}
