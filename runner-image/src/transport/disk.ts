/** The few small files that a runner must find again after a crash, behind a port: a simulated disk can tear, fill up and be lost. */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';

const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** The disk has no room: what was refused can be written later. */
export const isDiskFull = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && FULL.has(String(error.code));

export interface AppendFile {
  /** Hands all of it to the kernel, or throws; then a beginning of it may stand in the file. */
  append(bytes: Uint8Array): void;
  /** Cuts the file back to `sizeBytes`. */
  truncate(sizeBytes: number): void;
  close(): void;
}

export interface Disk {
  /** `undefined` where there is no such file; throws when it cannot be read. */
  read(path: string): string | undefined;
  /** Writes the file as a whole (mode 0600, its folder made where it is missing): a crash leaves the old one or the new one. */
  replace(path: string, text: string, flush: boolean): void;
  openAppend(path: string): AppendFile;
  /** A file that is not there counts as removed. */
  remove(path: string): void;
}

const openAppend = (path: string): AppendFile => {
  let fd = openSync(path, 'a', 0o600);
  return {
    append(bytes) {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    },
    truncate: (sizeBytes) => ftruncateSync(fd, sizeBytes),
    close() {
      if (fd >= 0) closeSync(fd);
      fd = -1;
    },
  };
};

export const realDisk: Disk = {
  read(path) {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
  },
  replace(path, text, flush) {
    const fresh = `${path}.new`;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(fresh, text, { mode: 0o600, flush });
    renameSync(fresh, path);
  },
  openAppend,
  remove: (path) => rmSync(path, { force: true }),
};
