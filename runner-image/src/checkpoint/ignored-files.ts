/** What ignore rules match is mostly built and can be built again, but a small `.env` cannot: so it comes along up to a bound, in whole pieces. */
import { CHECKPOINT_IGNORED_MAX_BYTES, CHECKPOINT_IGNORED_MAX_FILES } from '../../../shared/limits.ts';
import type { BytePath } from './byte-path.ts';
import { openFile, walkFiles } from './inside.ts';

interface Budget {
  bytes: number;
  files: number;
}

const sizeOf = async (root: BytePath, path: BytePath): Promise<number> => {
  const file = await openFile(root, path);
  if (file === null) return 0;
  try {
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
};

/** Files of one piece, or `null` when it is over the budget. */
const filesOf = async (root: BytePath, piece: BytePath, left: Budget): Promise<BytePath[] | null> => {
  const files: BytePath[] = [];
  let bytes = 0;
  const take = async (path: BytePath): Promise<boolean> => {
    bytes += await sizeOf(root, path);
    files.push(path);
    return bytes <= left.bytes && files.length <= left.files;
  };
  if (!piece.endsWith('/')) return (await take(piece)) ? files : null;
  for await (const { path } of walkFiles(root, piece.slice(0, -1), left.files + 1))
    if (!(await take(path))) return null;
  return files;
};

/** `pieces` are files, and folders with a `/` at their end. Single files go first: they are what people put there. */
export const ignoredFiles = async (
  root: BytePath,
  pieces: readonly BytePath[],
): Promise<{ readonly carried: readonly BytePath[]; readonly leftOut: readonly BytePath[] }> => {
  const left: Budget = { bytes: CHECKPOINT_IGNORED_MAX_BYTES, files: CHECKPOINT_IGNORED_MAX_FILES };
  const carried: BytePath[] = [];
  const leftOut: BytePath[] = [];
  const isFolder = (piece: BytePath): number => (piece.endsWith('/') ? 1 : 0);
  const ordered = pieces.toSorted((one, other) => isFolder(one) - isFolder(other) || (one < other ? -1 : 1));
  for (const piece of ordered) {
    const files = await filesOf(root, piece, left);
    if (files === null) leftOut.push(piece);
    else {
      carried.push(...files);
      left.files -= files.length;
      for (const path of files) left.bytes -= await sizeOf(root, path);
    }
  }
  return { carried, leftOut };
};
