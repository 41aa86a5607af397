/** The buckets on disk: bodies under hashed names (no key can leave the directory), an index in memory, every change one rename. */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, mkdirSync, openSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { compareUtf8, type ListPage, type ListQuery, listPage, lowerBound } from './key-order.ts';
import { describe, readDescription, type StoredObject } from './object-file.ts';

export type WriteCondition = { ifNoneMatch?: '*'; ifMatch?: string };
export type ConditionFault = 'precondition_failed' | 'no_such_key';

interface Bucket {
  objects: Map<string, StoredObject>;
  /** The keys of `objects`, sorted by `compareUtf8`. */
  keys: string[];
}

/** S3's own naming rule, which also keeps a bucket name from being a path. */
export const isBucketName = (name: string): boolean =>
  /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..');

/** What a write at this moment would meet; undefined lets it through (S3 conditional writes). */
export function checkCondition(
  current: StoredObject | undefined,
  condition: WriteCondition,
): ConditionFault | undefined {
  if (condition.ifNoneMatch === '*' && current) return 'precondition_failed';
  if (condition.ifMatch === undefined) return undefined;
  if (!current) return 'no_such_key';
  return condition.ifMatch === '*' || condition.ifMatch.replaceAll('"', '') === current.etag
    ? undefined
    : 'precondition_failed';
}

/** A body on its way to disk; either `commit` or `discard` ends it. */
export class Upload {
  readonly path: string;
  readonly #file: FileHandle;

  constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  async write(part: Buffer): Promise<void> {
    await this.#file.writeFile(part);
  }

  /** Appends the description and waits until the file is on the disk, ready to be renamed. */
  async finish(object: StoredObject): Promise<void> {
    await this.#file.writeFile(describe(object));
    await this.#file.datasync();
    await this.#file.close();
  }

  async discard(): Promise<void> {
    // Closing a second time after `finish` is harmless, and the rename may already have taken the file away.
    await this.#file.close().catch(() => undefined);
    await rm(this.path, { force: true });
  }
}

export class ObjectStore {
  readonly #dir: string;
  readonly #buckets = new Map<string, Bucket>();

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** Opens (or makes) the store under `dir`: unfinished uploads are dropped, files that are no objects are set aside and named to `warn`. */
  static async open(dir: string, warn: (message: string) => void): Promise<ObjectStore> {
    const store = new ObjectStore(dir);
    await rm(join(dir, 'tmp'), { recursive: true, force: true });
    for (const name of ['tmp', 'buckets', 'damaged']) await mkdir(join(dir, name), { recursive: true, mode: 0o700 });
    for (const bucket of await readdir(join(dir, 'buckets'))) await store.#load(bucket, warn);
    return store;
  }

  async #load(name: string, warn: (message: string) => void): Promise<void> {
    const bucket: Bucket = { objects: new Map(), keys: [] };
    const entries = await readdir(join(this.#dir, 'buckets', name), { recursive: true, withFileTypes: true });
    for (const entry of entries.filter((each) => each.isFile())) {
      const path = join(entry.parentPath, entry.name);
      const object = readDescription(path);
      if (object && this.#path(name, object.key) === path) {
        bucket.objects.set(object.key, object);
      } else {
        await rename(path, join(this.#dir, 'damaged', `${name}-${entry.name}`));
        warn(`s3: a file of bucket ${name} is no whole object and was set aside as damaged/${name}-${entry.name}`);
      }
    }
    bucket.keys = [...bucket.objects.keys()].sort(compareUtf8);
    this.#buckets.set(name, bucket);
  }

  #path(bucket: string, key: string): string {
    const name = createHash('sha256').update(key).digest('hex');
    return join(this.#dir, 'buckets', bucket, name.slice(0, 2), name);
  }

  hasBucket(name: string): boolean {
    return this.#buckets.has(name);
  }

  /** Returns false where the bucket is there already; `name` must satisfy `isBucketName`. */
  createBucket(name: string): boolean {
    if (!isBucketName(name)) throw new Error(`not a bucket name: ${name}`);
    if (this.#buckets.has(name)) return false;
    mkdirSync(join(this.#dir, 'buckets', name), { mode: 0o700 });
    this.#buckets.set(name, { objects: new Map(), keys: [] });
    return true;
  }

  get(bucket: string, key: string): StoredObject | undefined {
    return this.#buckets.get(bucket)?.objects.get(key);
  }

  list(bucket: string, query: ListQuery): ListPage {
    return listPage(this.#buckets.get(bucket)?.keys ?? [], query);
  }

  /**
   * Bytes `first` to `last` (inclusive) of an object's body. Opened at once: called in the same turn as `get` it reads exactly that
   * version, also when the key is replaced meanwhile.
   */
  read(bucket: string, key: string, first: number, last: number): Readable {
    return createReadStream('', { fd: openSync(this.#path(bucket, key), 'r'), start: first, end: last });
  }

  async beginUpload(): Promise<Upload> {
    const path = join(this.#dir, 'tmp', randomUUID());
    return new Upload(path, await open(path, 'wx', 0o600));
  }

  /**
   * Puts a finished upload in place of its key. Check and rename happen in one turn of the event loop, so of two conditional writers one loses.
   * Returns the fault without touching anything where the condition does not hold.
   */
  commit(
    bucketName: string,
    object: StoredObject,
    upload: Upload,
    condition: WriteCondition,
  ): ConditionFault | undefined {
    const bucket = this.#buckets.get(bucketName);
    if (!bucket) throw new Error(`commit into a bucket that is not there: ${bucketName}`);
    const fault = checkCondition(bucket.objects.get(object.key), condition);
    if (fault) return fault;
    const path = this.#path(bucketName, object.key);
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    renameSync(upload.path, path);
    if (!bucket.objects.has(object.key)) bucket.keys.splice(lowerBound(bucket.keys, object.key), 0, object.key);
    bucket.objects.set(object.key, object);
    return undefined;
  }

  /** Removes a key; one that is not there is fine, as in S3. */
  delete(bucketName: string, key: string, condition: WriteCondition): ConditionFault | undefined {
    const bucket = this.#buckets.get(bucketName);
    const current = bucket?.objects.get(key);
    const fault = checkCondition(current, condition);
    if (fault || !bucket || !current) return fault;
    unlinkSync(this.#path(bucketName, key));
    bucket.objects.delete(key);
    bucket.keys.splice(lowerBound(bucket.keys, key), 1);
    return undefined;
  }

  /** Removes an empty bucket; returns false where it still holds objects. */
  deleteBucket(name: string): boolean {
    if ((this.#buckets.get(name)?.objects.size ?? 0) > 0) return false;
    rmSync(join(this.#dir, 'buckets', name), { recursive: true, force: true });
    return this.#buckets.delete(name);
  }
}
