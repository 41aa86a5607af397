/** Reads small files an agent controls: a link, a FIFO or a giant in their place must neither leak nor hang the runner. */
import { constants } from 'node:fs';
import { type FileHandle, open, readlink } from 'node:fs/promises';
import { join, sep } from 'node:path';

const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

/** Opens a regular file whose real path is `root/relative`; `null` for anything else, links on the way included. */
export const openInside = async (root: string, relative: string): Promise<FileHandle | null> => {
  const path = join(root, relative);
  if (!path.startsWith(root + sep)) return null;
  let file: FileHandle;
  try {
    file = await open(path, FLAGS);
  } catch {
    // Absent, a link (ELOOP), a socket (ENXIO), unreadable: all are "no such file" to the caller.
    return null;
  }
  try {
    // Asked of the open file, so that nothing can be exchanged between the look and the use.
    const real = await readlink(`/proc/self/fd/${file.fd}`);
    if ((await file.stat()).isFile() && real === path) return file;
  } catch {
    // Without /proc nothing proves where the file is: the safe answer is not to read it.
  }
  await file.close();
  return null;
};

/** The whole file, or `null` when it is not there, not plain, or larger than `maxBytes`. `root` has no links in it. */
export const readInside = async (root: string, relative: string, maxBytes: number): Promise<Buffer | null> => {
  const file = await openInside(root, relative);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    if (size > maxBytes) return null;
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await file.read(bytes, 0, size, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
};
