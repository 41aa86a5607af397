/** Reads a checkpoint's archive entry by entry; whatever is not a plain file or link with a plain name ends the reading. */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { CHECKPOINT_MAX_FILES, WORKSPACE_PATH_MAX_BYTES } from '../../../shared/limits.ts';
import { type BytePath, isPlainPath } from './byte-path.ts';
import { BLOCK_BYTES, paddingOf, parseHeader, parsePax, TarDamaged } from './tar-format.ts';

export type ArchiveEntry =
  | {
      readonly kind: 'file';
      readonly path: BytePath;
      readonly mode: number;
      readonly sizeBytes: number;
      /** Read at most once; what is left of it is passed over. */
      readonly body: AsyncIterable<Buffer>;
    }
  | { readonly kind: 'link'; readonly path: BytePath; readonly target: BytePath };

export interface ReadOptions {
  readonly maxUnpackedBytes: number;
  readonly signal?: AbortSignal;
}

/** The bytes of the archive, taken in pieces of any size. */
class Source {
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #maxBytes: number;
  #held: Buffer = Buffer.alloc(0);
  #readBytes = 0;

  constructor(chunks: AsyncIterable<Buffer>, maxBytes: number) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#maxBytes = maxBytes;
  }

  /** Between 1 and `maxBytes` bytes. */
  async some(maxBytes: number): Promise<Buffer> {
    while (this.#held.length === 0) {
      const next = await this.#chunks.next();
      if (next.done) throw new TarDamaged('the archive ends in the middle');
      this.#readBytes += next.value.length;
      // A small archive may unpack to anything.
      if (this.#readBytes > this.#maxBytes)
        throw new TarDamaged(`the archive unpacks to more than ${this.#maxBytes} bytes`);
      this.#held = next.value;
    }
    const piece = this.#held.subarray(0, maxBytes);
    this.#held = this.#held.subarray(piece.length);
    return piece;
  }

  async exactly(sizeBytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let left = sizeBytes; left > 0; ) {
      const piece = await this.some(left);
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }

  async end(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** The rest of a body, whether it was asked for or not. */
class Body {
  readonly #source: Source;
  #left: number;

  constructor(source: Source, sizeBytes: number) {
    this.#source = source;
    this.#left = sizeBytes;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    while (this.#left > 0) {
      const piece = await this.#source.some(this.#left);
      this.#left -= piece.length;
      yield piece;
    }
  }

  async skip(): Promise<void> {
    while (this.#left > 0) this.#left -= (await this.#source.some(this.#left)).length;
  }
}

const PAX_MAX_BYTES = 4 * WORKSPACE_PATH_MAX_BYTES;

async function* entriesOf(source: Source): AsyncGenerator<ArchiveEntry> {
  let long: ReturnType<typeof parsePax> = {};
  for (let files = 0; ; ) {
    const header = parseHeader(await source.exactly(BLOCK_BYTES));
    if (header === null) return;
    const { sizeBytes } = header;
    if (header.kind === 'pax') {
      if (sizeBytes > PAX_MAX_BYTES) throw new TarDamaged('a name is too long');
      long = parsePax(await source.exactly(sizeBytes));
      await source.exactly(paddingOf(sizeBytes).length);
      continue;
    }
    files += 1;
    if (files > CHECKPOINT_MAX_FILES) throw new TarDamaged(`the archive has more than ${CHECKPOINT_MAX_FILES} files`);
    const path = long.path ?? header.path;
    if (!isPlainPath(path)) throw new TarDamaged('the name of an entry leads out of the archive');
    if (header.kind === 'link') yield { kind: 'link', path, target: long.linkpath ?? header.target };
    else {
      const body = new Body(source, sizeBytes);
      yield { kind: 'file', path, mode: header.mode, sizeBytes, body };
      await body.skip();
      await source.exactly(paddingOf(sizeBytes).length);
    }
    long = {};
  }
}

/** Throws TarDamaged, or what reading and unpacking the file throws. */
export async function* readArchive(path: string, options: ReadOptions): AsyncGenerator<ArchiveEntry> {
  const file = createReadStream(path, options.signal ? { signal: options.signal } : {});
  const gunzip = createGunzip();
  file.on('error', (error) => gunzip.destroy(error));
  const source = new Source(file.pipe(gunzip), options.maxUnpackedBytes);
  try {
    yield* entriesOf(source);
  } finally {
    await source.end();
    file.destroy();
    gunzip.destroy();
  }
}

/** The whole body. Throws TarDamaged beyond `maxBytes`. */
export const readBody = async (entry: ArchiveEntry & { kind: 'file' }, maxBytes: number): Promise<Buffer> => {
  if (entry.sizeBytes > maxBytes) throw new TarDamaged(`"${entry.path}" is too large`);
  const chunks: Buffer[] = [];
  for await (const chunk of entry.body) chunks.push(chunk);
  return Buffer.concat(chunks);
};
