/** Reads a file that may be written at the same moment: small ones as they were at one time, large ones as they come. */
import type { FileHandle } from 'node:fs/promises';
import { CHECKPOINT_STEADY_MAX_BYTES } from '../../../shared/limits.ts';
import type { ArchiveWriter } from './archive-writer.ts';
import type { BytePath } from './byte-path.ts';
import { openFile } from './inside.ts';

const TRIES = 4;
const PIECE_BYTES = 256 * 1024;

async function* piecesOf(file: FileHandle): AsyncGenerator<Buffer> {
  const buffer = Buffer.alloc(PIECE_BYTES);
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield Buffer.from(buffer.subarray(0, bytesRead));
  }
}

/** The file as it was between two equal looks at it; after some tries as it was read last. `null`: it has grown too large. */
const steadyBytes = async (file: FileHandle): Promise<{ bytes: Buffer; mode: number } | null> => {
  for (let tries = 1; ; tries += 1) {
    const before = await file.stat({ bigint: true });
    if (before.size > BigInt(CHECKPOINT_STEADY_MAX_BYTES)) return null;
    const bytes = Buffer.alloc(Number(before.size));
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    const after = await file.stat({ bigint: true });
    const isSteady = after.mtimeNs === before.mtimeNs && after.size === before.size && length === bytes.length;
    if (isSteady || tries >= TRIES) return { bytes: bytes.subarray(0, length), mode: Number(after.mode) & 0o777 };
  }
};

/** @returns whether there was such a file */
export const addFile = async (
  archive: ArchiveWriter,
  name: BytePath,
  root: BytePath,
  relative: BytePath,
): Promise<boolean> => {
  const file = await openFile(root, relative);
  if (file === null) return false;
  try {
    const steady = await steadyBytes(file);
    if (steady !== null) await archive.bytes(name, steady.bytes, steady.mode);
    else {
      const { size, mode } = await file.stat();
      await archive.file(name, mode & 0o777, size, piecesOf(file));
    }
    return true;
  } finally {
    await file.close();
  }
};
