/** One object is one file, body first and description last, so that a single rename commits both and a crash leaves the old or the new. */
import { type FileHandle, open } from 'node:fs/promises';
import { z } from 'zod';

const MAGIC = Buffer.from('AVS3');
/** Length of the description (4 bytes, big endian) and the magic. */
const TAIL_BYTES = 8;
const DESCRIPTION_MAX_BYTES = 64 * 1024;

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

async function readExactly(file: FileHandle, length: number, position: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

/** Description of the object in the file at `path`, or undefined where the file is no whole object. */
export async function readDescription(path: string): Promise<StoredObject | undefined> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  if (size < TAIL_BYTES) return undefined;
  const tail = await readExactly(file, TAIL_BYTES, size - TAIL_BYTES);
  const length = tail.readUInt32BE(0);
  if (!tail.subarray(4).equals(MAGIC) || length > DESCRIPTION_MAX_BYTES || length > size - TAIL_BYTES) return undefined;
  const description = await readExactly(file, length, size - TAIL_BYTES - length);
  const parsed = StoredObject.safeParse(parseJson(description.toString()));
  return parsed.success && parsed.data.sizeBytes === size - TAIL_BYTES - length ? parsed.data : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is one more way of not being a whole object; the caller reports the file.
    return undefined;
  }
}
