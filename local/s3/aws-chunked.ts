/** Unwraps the aws-chunked framing the SDK puts around streamed bodies, and hands out the trailers that carry their checksum. */

import { S3Error } from './s3-error.ts';
import { CHUNK_LINE_MAX_BYTES, TRAILERS_MAX } from './s3-limits.ts';

const CRLF = Buffer.from('\r\n');

const malformed = (what: string): S3Error =>
  new S3Error('IncompleteBody', `The aws-chunked body is not well formed: ${what}.`);

/** Reads lines and byte runs from a stream of buffers without ever holding more than one line. */
class ByteReader {
  #pending: Buffer = Buffer.alloc(0);
  readonly #source: AsyncIterator<Buffer>;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async #more(): Promise<boolean> {
    const next = await this.#source.next();
    if (next.done) return false;
    this.#pending = this.#pending.length === 0 ? next.value : Buffer.concat([this.#pending, next.value]);
    return true;
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#pending.indexOf(CRLF);
      if (end > CHUNK_LINE_MAX_BYTES || (end < 0 && this.#pending.length > CHUNK_LINE_MAX_BYTES))
        throw malformed('a line is too long');
      if (end >= 0) {
        const text = this.#pending.toString('latin1', 0, end);
        this.#pending = this.#pending.subarray(end + CRLF.length);
        return text;
      }
      if (!(await this.#more())) throw malformed('it ends early');
    }
  }

  async *bytes(count: number): AsyncGenerator<Buffer> {
    let left = count;
    while (left > 0) {
      if (this.#pending.length === 0 && !(await this.#more())) throw malformed('it ends early');
      const part = this.#pending.subarray(0, left);
      this.#pending = this.#pending.subarray(part.length);
      left -= part.length;
      if (part.length > 0) yield part;
    }
  }
}

/**
 * Yields the payload of an unsigned aws-chunked body; after the last buffer `trailers` holds the trailing headers (lower-case names).
 * Throws IncompleteBody where framing is wrong or the stream ends early (S3: STREAMING-UNSIGNED-PAYLOAD-TRAILER).
 */
export async function* decodeAwsChunked(
  source: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer> {
  const reader = new ByteReader(source);
  for (;;) {
    const size = /^([0-9a-fA-F]{1,8})(?:;.*)?$/.exec(await reader.line())?.[1];
    if (size === undefined) throw malformed('a chunk size is missing');
    const sizeBytes = Number.parseInt(size, 16);
    if (sizeBytes === 0) break;
    yield* reader.bytes(sizeBytes);
    if ((await reader.line()) !== '') throw malformed('a chunk is longer than it says');
  }
  for (let line = await reader.line(); line !== ''; line = await reader.line()) {
    const colon = line.indexOf(':');
    if (colon <= 0 || trailers.size >= TRAILERS_MAX) throw malformed('a trailer is wrong');
    trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
}
