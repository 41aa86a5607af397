/** Writes below a folder that nobody else changes, and never through a link: what lies in the way decides, not what an archive says. */

import { constants } from 'node:fs';
import { lstat, mkdir, open, rmdir, symlink, unlink } from 'node:fs/promises';
import { posix } from 'node:path';
import { type BytePath, isPlainPath, toBytes } from './byte-path.ts';

/** The archive does not fit to the folder it is put into. */
export class NotWritable extends Error {}

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const FOLDER_MODE = 0o755;

const look = async (path: BytePath): Promise<'absent' | 'folder' | 'other'> => {
  const stats = await lstat(toBytes(path)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
    throw error;
  });
  if (stats === null) return 'absent';
  return stats.isDirectory() ? 'folder' : 'other';
};

export interface InsideWriter {
  file(path: BytePath, mode: number, body: AsyncIterable<Buffer>): Promise<void>;
  link(path: BytePath, target: BytePath): Promise<void>;
  /** Removes a file, a link or an empty folder, and the folders that are empty then; nothing there is fine. */
  remove(path: BytePath): Promise<void>;
}

/** `root`: real and private to the caller. Throws NotWritable. */
export const insideWriter = (root: BytePath): InsideWriter => {
  const folders = new Set<BytePath>(['.']);

  /** Makes the folders above `path`; each one must be a real folder. */
  const makeParents = async (path: BytePath): Promise<void> => {
    if (!isPlainPath(path)) throw new NotWritable('a name leads out of its folder');
    const parent = posix.dirname(path);
    if (folders.has(parent)) return;
    await makeParents(parent);
    const at = `${root}/${parent}`;
    const found = await look(at);
    if (found === 'other') throw new NotWritable(`"${parent}" is no folder`);
    if (found === 'absent') await mkdir(toBytes(at), { mode: FOLDER_MODE });
    folders.add(parent);
  };

  const makeRoom = async (path: BytePath): Promise<Buffer> => {
    await makeParents(path);
    const at = toBytes(`${root}/${path}`);
    const found = await look(`${root}/${path}`);
    if (found === 'folder') throw new NotWritable(`"${path}" is a folder`);
    if (found === 'other') await unlink(at);
    return at;
  };

  /** Whether every folder above `path` is a real one. */
  const isReached = async (path: BytePath): Promise<boolean> => {
    const parent = posix.dirname(path);
    if (parent === '.') return true;
    return (await isReached(parent)) && (await look(`${root}/${parent}`)) === 'folder';
  };

  const removeEmpty = async (path: BytePath): Promise<void> => {
    for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder)) {
      try {
        await rmdir(toBytes(`${root}/${folder}`));
      } catch {
        // Other files are in it.
        return;
      }
      folders.delete(folder);
    }
  };

  return {
    async file(path, mode, body) {
      const handle = await open(await makeRoom(path), NEW_FILE, 0o600);
      try {
        for await (const chunk of body) await handle.writeFile(chunk);
        await handle.chmod(mode & 0o777);
      } finally {
        await handle.close();
      }
    },
    async link(path, target) {
      await symlink(toBytes(target), await makeRoom(path));
    },
    async remove(path) {
      if (!isPlainPath(path)) throw new NotWritable('a name leads out of its folder');
      if (!(await isReached(path))) return;
      const found = await look(`${root}/${path}`);
      if (found === 'other') await unlink(toBytes(`${root}/${path}`));
      // A folder stands there for a submodule; with files in it, it is left.
      if (found === 'folder') await rmdir(toBytes(`${root}/${path}`)).catch(() => undefined);
      await removeEmpty(path);
    },
  };
};
