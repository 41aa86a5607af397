/** Digests of a body computed while it streams to disk: MD5 for the ETag, SHA-256 for the signature, and what the client asked for. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { S3Error } from './s3-error.ts';

/** Algorithms of x-amz-checksum-* that are verified here; any other is refused, never ignored. */
export const CHECKSUM_ALGORITHMS = ['crc32', 'sha1', 'sha256'] as const;
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];

const PREFIX = 'x-amz-checksum-';
/** Names below the prefix that are no digests. */
const NO_DIGEST = new Set(['mode', 'algorithm', 'type']);

const isAlgorithm = (name: string): name is ChecksumAlgorithm => CHECKSUM_ALGORITHMS.some((known) => known === name);

/** `x-amz-checksum-crc32` → `crc32`; undefined for other headers; throws NotImplemented for a digest we cannot verify. */
export function checksumAlgorithm(headerName: string): ChecksumAlgorithm | undefined {
  if (!headerName.startsWith(PREFIX)) return undefined;
  const name = headerName.slice(PREFIX.length);
  if (NO_DIGEST.has(name)) return undefined;
  if (!isAlgorithm(name))
    throw new S3Error(
      'NotImplemented',
      `The checksum algorithm ${name} is not verified here: use ${CHECKSUM_ALGORITHMS.join(', ')}.`,
    );
  return name;
}

export interface BodyDigests {
  sizeBytes: number;
  md5Hex: string;
  md5Base64: string;
  sha256Hex: string;
  /** Base64, as in x-amz-checksum-*. */
  checksums: Readonly<Record<ChecksumAlgorithm, string>>;
}

/** Takes a body piece by piece; `digests` may be called once, at its end. */
export class BodyHasher {
  #sizeBytes = 0;
  #crc = 0;
  readonly #md5 = createHash('md5');
  readonly #sha1 = createHash('sha1');
  readonly #sha256 = createHash('sha256');

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  update(part: Buffer): void {
    this.#sizeBytes += part.length;
    this.#crc = crc32(part, this.#crc);
    this.#md5.update(part);
    this.#sha1.update(part);
    this.#sha256.update(part);
  }

  digests(): BodyDigests {
    const md5 = this.#md5.digest();
    const sha256 = this.#sha256.digest();
    const crc = Buffer.alloc(4);
    crc.writeUInt32BE(this.#crc);
    return {
      sizeBytes: this.#sizeBytes,
      md5Hex: md5.toString('hex'),
      md5Base64: md5.toString('base64'),
      sha256Hex: sha256.toString('hex'),
      checksums: {
        crc32: crc.toString('base64'),
        sha1: this.#sha1.digest('base64'),
        sha256: sha256.toString('base64'),
      },
    };
  }
}
