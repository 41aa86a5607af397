/** One object is one file, body first and description last, so that a single rename commits both and a crash leaves the old or the new. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { z } from 'zod';

const MAGIC = Buffer.from('AVS3');
/** Length of the description (4 bytes, big endian) and the magic. */
const TAIL_BYTES = 8;
const DESCRIPTION_MAX_BYTES = 64 * 1024;
/** Nearly every description fits, so that one read is enough. */
const FIRST_READ_BYTES = 2 * 1024;

export const StoredObject = z.strictObject({
  key: z.string(),
  sizeBytes: z.int().min(0),
  /** Hex MD5, without the quotes. */
  etag: z.string().regex(/^[0-9a-f]{32}$/),
  lastModifiedMs: z.number(),
  /** Response headers kept from the PUT: content-type, cache-control, …, x-amz-meta-*. */
  headers: z.record(z.string(), z.string()),
  /** Base64 digests by algorithm, as the client gave them and as they were verified. */
  checksums: z.record(z.string(), z.string()),
});
export type StoredObject = z.infer<typeof StoredObject>;

/** The bytes that follow the body. */
export function describe(object: StoredObject): Buffer {
  const description = Buffer.from(JSON.stringify(object));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(description.length);
  return Buffer.concat([description, length, MAGIC]);
}

/** Description of the object in the file at `path`, or undefined where the file is no whole object. Synchronous: thousands are read at start. */
export function readDescription(path: string): StoredObject | undefined {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const end = readEnd(file, size, Math.min(size, FIRST_READ_BYTES));
    if (end.length < TAIL_BYTES || !end.subarray(-MAGIC.length).equals(MAGIC)) return undefined;
    const length = end.readUInt32BE(end.length - TAIL_BYTES);
    if (length > DESCRIPTION_MAX_BYTES || length > size - TAIL_BYTES) return undefined;
    const whole = end.length >= length + TAIL_BYTES ? end : readEnd(file, size, length + TAIL_BYTES);
    const description = whole.subarray(whole.length - TAIL_BYTES - length, whole.length - TAIL_BYTES);
    const parsed = StoredObject.safeParse(parseJson(description.toString()));
    return parsed.success && parsed.data.sizeBytes === size - TAIL_BYTES - length ? parsed.data : undefined;
  } finally {
    closeSync(file);
  }
}

/** The last `length` bytes of an open file of `size` bytes. */
function readEnd(file: number, size: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, size - length));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is one more way of not being a whole object; the caller reports the file.
    return undefined;
  }
}
