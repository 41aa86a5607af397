/** Puts one file or link of an archive into a work tree, if that is where it stays. */
import type { ArchiveEntry } from './archive-reader.ts';
import { type BytePath, isGitFolder, linkStaysInside } from './byte-path.ts';
import { type InsideWriter, NotWritable } from './write-inside.ts';

export interface Placing {
  readonly work: InsideWriter;
  /** Where the work tree was when the archive was made, and where it is now: links that name the one are led to the other. */
  readonly from: BytePath;
  readonly root: BytePath;
}

const lead = ({ from, root }: Placing, target: BytePath): BytePath =>
  target === from || target.startsWith(`${from}/`) ? root + target.slice(from.length) : target;

/** Throws NotWritable. */
export const placeFile = async (placing: Placing, path: BytePath, entry: ArchiveEntry): Promise<void> => {
  if (isGitFolder(path)) throw new NotWritable('git’s own folder is none of the files');
  if (entry.kind === 'file') return placing.work.file(path, entry.mode, entry.body);
  const target = lead(placing, entry.target);
  if (!linkStaysInside(placing.root, path, target)) throw new NotWritable('a link leads out of the workspace');
  await placing.work.link(path, target);
};
