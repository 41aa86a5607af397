import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, describe as suite } from 'vitest';
import { describe, readDescription, type StoredObject } from '../../../../local/s3/object-file.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'village-object-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const object = (body: Buffer, metadata = 'm'): StoredObject => ({
  key: 'a/b',
  sizeBytes: body.length,
  etag: '0'.repeat(32),
  lastModifiedMs: 1,
  headers: { 'x-amz-meta-m': metadata },
  checksums: {},
});
function readBack(bytes: Buffer): StoredObject | undefined {
  const path = join(dir, 'object');
  writeFileSync(path, bytes);
  return readDescription(path);
}

suite('readDescription', () => {
  it.each([
    ['an empty body', Buffer.alloc(0), 'm'],
    ['a body', Buffer.from('hello'), 'm'],
    ['a body that looks like a description', describe(object(Buffer.from('x'))), 'm'],
    ['a description longer than the first read', Buffer.alloc(9_000, 'x'), 'y'.repeat(3_000)],
  ])('finds what was written behind %s', (_, body, metadata) => {
    expect(readBack(Buffer.concat([body, describe(object(body, metadata))]))).toEqual(object(body, metadata));
  });

  it('every file cut short, or with a byte too many, is no object', () => {
    const body = Buffer.from('hello');
    const whole = Buffer.concat([body, describe(object(body))]);
    for (let length = 0; length < whole.length; length += 1)
      expect(readBack(whole.subarray(0, length))).toBeUndefined();
    expect(readBack(Buffer.concat([Buffer.from('!'), whole]))).toBeUndefined();
    expect(readBack(Buffer.concat([whole, Buffer.from('!')]))).toBeUndefined();
  });

  it('a length that points nowhere, or text that is no description, is no object', () => {
    const tail = (length: number) =>
      Buffer.concat([Buffer.from([0, 0, length >> 8, length & 255]), Buffer.from('AVS3')]);
    expect(readBack(tail(9_999))).toBeUndefined();
    expect(readBack(Buffer.concat([Buffer.from('{}'), tail(2)]))).toBeUndefined();
    expect(readBack(Buffer.concat([Buffer.from('no'), tail(2)]))).toBeUndefined();
  });
});
