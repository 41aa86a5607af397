import { createHash } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BUCKET, failure, type S3Harness, s3Harness } from './s3-harness.ts';

let harness: S3Harness;
beforeEach(async () => {
  harness = await s3Harness({ maxObjectBytes: 1024 * 1024 });
});
afterEach(() => harness.stop());

const put = (key: string, body: string | Buffer, more = {}) =>
  harness.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body, ...more }));
const get = (key: string, more = {}) =>
  harness.client.send(new GetObjectCommand({ Bucket: BUCKET, Key: key, ...more }));
const text = async (key: string, more = {}) => (await get(key, more)).Body?.transformToString();
const md5 = (body: string) => `"${createHash('md5').update(body).digest('hex')}"`;

describe('architecture §3, row S3: PUT, GET, HEAD, DELETE', () => {
  it('keeps body, ETag, content type, encoding and user metadata, and gives the checksum back', async () => {
    const stored = await put('t/1', 'hello', {
      ContentType: 'text/plain',
      ContentEncoding: 'gzip',
      CacheControl: 'no-store',
      Metadata: { epoch: '3', note: 'a  b' },
    });
    expect(stored.ETag).toBe(md5('hello'));
    expect(stored.ChecksumCRC32).toBe('NhCmhg==');
    const head = await harness.client.send(
      new HeadObjectCommand({ Bucket: BUCKET, Key: 't/1', ChecksumMode: 'ENABLED' }),
    );
    expect(head).toMatchObject({
      ContentLength: 5,
      ContentType: 'text/plain',
      ContentEncoding: 'gzip',
      CacheControl: 'no-store',
      ETag: md5('hello'),
      ChecksumCRC32: 'NhCmhg==',
    });
    expect(head.Metadata).toMatchObject({ epoch: '3' });
    expect(await text('t/1')).toBe('hello');
  });

  it('takes streamed bodies in aws-chunked framing with a trailing CRC32, which is verified', async () => {
    const parts = Array.from({ length: 50 }, (_, at) => Buffer.alloc(1 + at * 97, at));
    await put('stream', Readable.from(parts) as unknown as Buffer, {
      ContentLength: Buffer.concat(parts).length,
      ContentEncoding: 'gzip',
    });
    const object = await get('stream');
    expect(Buffer.from((await object.Body?.transformToByteArray()) ?? [])).toEqual(Buffer.concat(parts));
    expect(object.ContentEncoding).toBe('gzip');
  });

  it('stores and reads an empty object', async () => {
    await put('empty', '');
    expect(await text('empty')).toBe('');
  });

  it('answers NoSuchKey, NoSuchBucket and a bare 404 for HEAD', async () => {
    expect(await failure(get('nothing'))).toEqual({ name: 'NoSuchKey', status: 404 });
    expect(await failure(harness.client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: 'nothing' })))).toEqual({
      name: 'NotFound',
      status: 404,
    });
    expect(await failure(harness.client.send(new HeadBucketCommand({ Bucket: 'other-bucket' })))).toEqual({
      name: 'NotFound',
      status: 404,
    });
    expect(
      await failure(harness.client.send(new PutObjectCommand({ Bucket: 'other-bucket', Key: 'k', Body: 'x' }))),
    ).toEqual({ name: 'NoSuchBucket', status: 404 });
  });

  it('deletes, and deletes what is not there without complaint', async () => {
    await put('gone', 'x');
    await harness.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'gone' }));
    await harness.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'gone' }));
    expect(await failure(get('gone'))).toMatchObject({ name: 'NoSuchKey' });
  });

  it('refuses an object over the limit before it is stored', async () => {
    expect(await failure(put('big', Buffer.alloc(1024 * 1024 + 1)))).toMatchObject({ name: 'EntityTooLarge' });
    expect(await failure(get('big'))).toMatchObject({ name: 'NoSuchKey' });
  });

  it('refuses keys over 1024 bytes and metadata over 2 KB', async () => {
    expect(await failure(put('k'.repeat(1025), 'x'))).toMatchObject({ name: 'KeyTooLongError', status: 400 });
    expect(await failure(put('k', 'x', { Metadata: { a: 'v'.repeat(2048) } }))).toMatchObject({
      name: 'MetadataTooLarge',
    });
  });
});

describe('architecture §3, row S3: Range', () => {
  beforeEach(() => put('digits', '0123456789'));

  it.each([
    ['bytes=0-3', '0123', 'bytes 0-3/10'],
    ['bytes=8-', '89', 'bytes 8-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=5-500', '56789', 'bytes 5-9/10'],
    ['bytes=0-1,4-5', '0123456789', undefined],
  ])('%s', async (range, body, contentRange) => {
    const part = await get('digits', { Range: range });
    expect(await part.Body?.transformToString()).toBe(body);
    expect(part.ContentRange).toBe(contentRange);
    expect(part.$metadata.httpStatusCode).toBe(contentRange ? 206 : 200);
  });

  it('answers 416 beyond the end', async () => {
    expect(await failure(get('digits', { Range: 'bytes=10-' }))).toEqual({ name: 'InvalidRange', status: 416 });
  });
});

describe('architecture §3, row S3: conditions', () => {
  it('If-None-Match: * lets exactly one of many concurrent writers through', async () => {
    const writes = await Promise.allSettled(
      Array.from({ length: 8 }, (_, at) => put('once', `writer ${at}`, { IfNoneMatch: '*' })),
    );
    const winners = writes.flatMap((write, at) => (write.status === 'fulfilled' ? [at] : []));
    expect(winners).toHaveLength(1);
    expect(await text('once')).toBe(`writer ${winners[0]}`);
    expect(await failure(put('once', 'later', { IfNoneMatch: '*' }))).toEqual({
      name: 'PreconditionFailed',
      status: 412,
    });
  });

  it('If-Match replaces only the version it names', async () => {
    await put('doc', 'one');
    expect(await failure(put('doc', 'two', { IfMatch: md5('other') }))).toMatchObject({ status: 412 });
    await put('doc', 'two', { IfMatch: md5('one') });
    expect(await text('doc')).toBe('two');
    expect(await failure(put('absent', 'x', { IfMatch: md5('x') }))).toMatchObject({ name: 'NoSuchKey' });
  });

  it('reads answer 412 to If-Match and 304 to If-None-Match', async () => {
    await put('doc', 'one');
    expect(await failure(get('doc', { IfMatch: md5('two') }))).toMatchObject({ status: 412 });
    expect(await failure(get('doc', { IfNoneMatch: md5('one') }))).toMatchObject({ status: 304 });
  });
});

describe('architecture §3, row S3: checksums', () => {
  const sha256 = (body: string) => createHash('sha256').update(body).digest('base64');

  it('verifies x-amz-checksum-sha256 and stores nothing when it does not fit', async () => {
    const stored = await put('sum', 'hello', { ChecksumSHA256: sha256('hello') });
    expect(stored.ChecksumSHA256).toBe(sha256('hello'));
    expect(await failure(put('sum', 'other', { ChecksumSHA256: sha256('hello') }))).toEqual({
      name: 'BadDigest',
      status: 400,
    });
    expect(await text('sum')).toBe('hello');
  });

  it('verifies Content-MD5, and refuses an algorithm it cannot verify', async () => {
    expect(await failure(put('sum', 'x', { ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' }))).toMatchObject({
      name: 'BadDigest',
    });
    expect(await failure(put('sum', 'x', { ChecksumCRC64NVME: 'AAAAAAAAAAA=' }))).toMatchObject({
      name: 'NotImplemented',
    });
  });
});

describe('architecture §3, row S3: files on disk', () => {
  it('no key leaves the directory, and odd keys come back as they went in', async () => {
    const keys = ['../../escape', '/abs/olute', 'a//b/', '..', 'ü/日本 語+&?#%2F.txt', 'nul-\u0001'];
    for (const key of keys) await put(key, `body of ${key}`);
    for (const key of keys) expect(await text(key)).toBe(`body of ${key}`);
    expect(existsSync(join(harness.dir, '..', 'escape'))).toBe(false);
    expect(readdirSync(harness.dir).sort()).toEqual(['buckets', 'damaged', 'tmp']);
    expect(readdirSync(join(harness.dir, 'buckets'))).toEqual([BUCKET]);
  });

  it('data survives a restart; what a crash left half written is dropped or set aside with a warning', async () => {
    await put('a', 'first', { Metadata: { m: '1' } });
    await put('b', 'second');
    writeFileSync(join(harness.dir, 'tmp', 'half'), 'half an upload');
    writeFileSync(join(harness.dir, 'buckets', BUCKET, 'stray'), 'no object at all');
    await harness.restart();
    expect(await text('a')).toBe('first');
    expect((await get('a')).Metadata).toEqual({ m: '1' });
    expect(await text('b')).toBe('second');
    expect(readdirSync(join(harness.dir, 'tmp'))).toEqual([]);
    expect(readdirSync(join(harness.dir, 'damaged'))).toEqual([`${BUCKET}-stray`]);
    expect(harness.warnings).toHaveLength(1);
  });

  it('a failed upload leaves no file behind', async () => {
    await failure(put('bad', 'x', { ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' }));
    expect(readdirSync(join(harness.dir, 'tmp'))).toEqual([]);
  });

  it('an upload cut off in the middle leaves nothing behind and is no failure of ours', async () => {
    const command = new PutObjectCommand({ Bucket: BUCKET, Key: 'cut', ContentLength: 1000 });
    const url = await getSignedUrl(harness.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' }), command);
    const upload = httpRequest(url, { method: 'PUT', headers: { 'content-length': '1000' } });
    upload.on('error', () => undefined);
    upload.write('only the beginning');
    await vi.waitFor(() => expect(readdirSync(join(harness.dir, 'tmp'))).toHaveLength(1));
    upload.destroy();
    await vi.waitFor(() => expect(readdirSync(join(harness.dir, 'tmp'))).toEqual([]));
    expect(await failure(get('cut'))).toMatchObject({ name: 'NoSuchKey' });
    expect(harness.warnings).toEqual([]);
  });

  it('a reader keeps the version it began with when the key is replaced or deleted meanwhile', async () => {
    const old = Buffer.alloc(1024 * 1024, 'old ');
    await put('busy', old);
    const reading = await get('busy');
    await put('busy', 'new');
    await harness.client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: 'busy' }));
    expect(Buffer.from((await reading.Body?.transformToByteArray()) ?? []).equals(old)).toBe(true);
  });
});

describe('architecture §3, row S3: what is not there says so', () => {
  it('copies, tags and ACLs are NotImplemented, never silently dropped', async () => {
    await put('source', 'x');
    const copy = new CopyObjectCommand({ Bucket: BUCKET, Key: 'copy', CopySource: `${BUCKET}/source` });
    expect(await failure(harness.client.send(copy))).toEqual({ name: 'NotImplemented', status: 501 });
    expect(await failure(put('tagged', 'x', { Tagging: 'a=b' }))).toMatchObject({ name: 'NotImplemented' });
    const acl = new GetObjectAclCommand({ Bucket: BUCKET, Key: 'source' });
    expect(await failure(harness.client.send(acl))).toMatchObject({ name: 'NotImplemented' });
  });
});
