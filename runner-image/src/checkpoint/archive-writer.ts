/** Writes a checkpoint's archive to a private file: tar, compressed, hashed and bounded while it grows. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { Transform } from 'node:stream';
import { finished } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { CHECKPOINT_MAX_FILES } from '../../../shared/limits.ts';
import type { BytePath } from './byte-path.ts';
import { BLOCK_BYTES, entryHeaders, paddingOf } from './tar-format.ts';

/** More bytes or files than a checkpoint may have. */
export class ArchiveTooLarge extends Error {}

export interface ArchiveLimits {
  readonly maxBytes: number;
  /** Before compression. */
  readonly maxUnpackedBytes: number;
}

export interface StoredFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

/** Quick: the agent waits for the processor too. */
const GZIP_LEVEL = 3;

const measuring = (maxBytes: number) => {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length;
      hash.update(chunk);
      if (sizeBytes > maxBytes) done(new ArchiveTooLarge(`more than ${maxBytes} bytes, packed`));
      else done(null, chunk);
    },
  });
  return { stream, result: () => ({ sizeBytes, sha256: hash.digest('hex') }) };
};

export class ArchiveWriter {
  readonly #path: string;
  readonly #maxUnpackedBytes: number;
  readonly #gzip = createGzip({ level: GZIP_LEVEL });
  readonly #measured: ReturnType<typeof measuring>;
  readonly #written: Promise<void>;
  readonly #destroy: () => void;
  #unpackedBytes = 0;
  #files = 0;
  #error: unknown = null;

  /** Replaces what lies at `path`. `discard` or `finish` must be called. */
  constructor(path: string, { maxBytes, maxUnpackedBytes }: ArchiveLimits) {
    this.#path = path;
    this.#maxUnpackedBytes = maxUnpackedBytes;
    this.#measured = measuring(maxBytes);
    const file = createWriteStream(path, { mode: 0o600 });
    this.#destroy = () => {
      // Wakes a writer that waits for room.
      this.#gzip.destroy();
      this.#measured.stream.destroy();
      file.destroy();
    };
    const fail = (error: unknown): void => {
      this.#error ??= error;
      this.#destroy();
    };
    for (const stream of [this.#gzip, this.#measured.stream, file]) stream.on('error', fail);
    this.#gzip.pipe(this.#measured.stream).pipe(file);
    this.#written = finished(file);
    // Told by the next write, or by `finish`.
    this.#written.catch(() => {});
  }

  /** A file of `sizeBytes`: `body` is cut there, and what it lacks is filled with zeros, so that it may change under its reader. */
  async file(path: BytePath, mode: number, sizeBytes: number, body: AsyncIterable<Buffer>): Promise<void> {
    this.#count(sizeBytes);
    await this.#write(entryHeaders({ path, kind: 'file', mode, sizeBytes, target: '' }));
    let left = sizeBytes;
    for await (const chunk of body) {
      if (left === 0) break;
      const piece = chunk.length > left ? chunk.subarray(0, left) : chunk;
      left -= piece.length;
      await this.#write(piece);
    }
    for (; left > 0; left -= Math.min(left, BLOCK_BYTES)) await this.#write(Buffer.alloc(Math.min(left, BLOCK_BYTES)));
    await this.#write(paddingOf(sizeBytes));
  }

  async bytes(path: BytePath, body: Buffer, mode = 0o600): Promise<void> {
    this.#count(body.length);
    const header = entryHeaders({ path, kind: 'file', mode, sizeBytes: body.length, target: '' });
    await this.#write(Buffer.concat([header, body, paddingOf(body.length)]));
  }

  async link(path: BytePath, target: BytePath): Promise<void> {
    this.#count(0);
    await this.#write(entryHeaders({ path, kind: 'link', mode: 0o777, sizeBytes: 0, target }));
  }

  async finish(): Promise<StoredFile> {
    await this.#write(Buffer.alloc(2 * BLOCK_BYTES));
    this.#gzip.end();
    await this.#written.catch((error: unknown) => {
      throw this.#error ?? error;
    });
    return { path: this.#path, ...this.#measured.result() };
  }

  /** Ends without a result; the file is the caller's to remove. */
  async discard(): Promise<void> {
    this.#destroy();
    await this.#written.catch(() => undefined);
  }

  #count(sizeBytes: number): void {
    this.#files += 1;
    this.#unpackedBytes += BLOCK_BYTES + sizeBytes;
    if (this.#files > CHECKPOINT_MAX_FILES) throw new ArchiveTooLarge(`more than ${CHECKPOINT_MAX_FILES} files`);
    if (this.#unpackedBytes > this.#maxUnpackedBytes)
      throw new ArchiveTooLarge(`more than ${this.#maxUnpackedBytes} bytes, unpacked`);
  }

  async #write(bytes: Buffer): Promise<void> {
    if (this.#error !== null) throw this.#error;
    if (bytes.length === 0 || this.#gzip.write(bytes)) return;
    await this.#room();
    if (this.#error !== null) throw this.#error;
  }

  /** Resolves when it takes more, or never will. */
  #room(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#gzip.off('drain', done).off('close', done);
        resolve();
      };
      if (this.#gzip.destroyed) resolve();
      else this.#gzip.once('drain', done).once('close', done);
    });
  }
}
