/** Puts files and links of a work tree into an archive; what is neither, or leads out, stays behind. */
import { CHECKPOINT_MAX_FILES } from '../../../shared/limits.ts';
import type { ArchiveWriter } from './archive-writer.ts';
import { type BytePath, linkStaysInside } from './byte-path.ts';
import { readLink, walkFiles } from './inside.ts';
import { ENTRIES } from './manifest.ts';
import { addFile } from './read-steady.ts';

export interface Adding {
  readonly archive: ArchiveWriter;
  /** Real path of the work tree. */
  readonly root: BytePath;
  /** Takes the names of links that lead out. */
  readonly leftOut: BytePath[];
  readonly signal: AbortSignal;
}

export const addPath = async ({ archive, root, leftOut, signal }: Adding, path: BytePath): Promise<void> => {
  signal.throwIfAborted();
  if (await addFile(archive, ENTRIES.files + path, root, path)) return;
  const target = await readLink(root, path);
  // What is neither is gone, or a pipe, a socket, a device.
  if (target === null) return;
  if (linkStaysInside(root, path, target)) await archive.link(ENTRIES.files + path, target);
  else leftOut.push(path);
};

export const addFolder = async (adding: Adding, folder: BytePath): Promise<void> => {
  for await (const { path } of walkFiles(adding.root, folder, CHECKPOINT_MAX_FILES)) await addPath(adding, path);
};
