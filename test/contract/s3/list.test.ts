import { ListObjectsV2Command, type ListObjectsV2CommandInput, PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUCKET, failure, type S3Harness, s3Harness } from './s3-harness.ts';

let harness: S3Harness;
const KEYS = ['a/1', 'a/2', 'a/b/3', 'a<&>"', 'b/1', 'c', 'd/x/1', 'd/x/2', 'd/y', '日本', '\u{1F600}'];

beforeAll(async () => {
  harness = await s3Harness();
  for (const key of KEYS.toReversed())
    await harness.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: key }));
});
afterAll(() => harness.stop());

const list = (input: Partial<ListObjectsV2CommandInput>) =>
  harness.client.send(new ListObjectsV2Command({ Bucket: BUCKET, ...input }));

async function pages(input: Partial<ListObjectsV2CommandInput>) {
  const all: string[][] = [];
  let token: string | undefined;
  do {
    const page = await list({ ...input, ...(token ? { ContinuationToken: token } : {}) });
    all.push(
      [...(page.Contents ?? []).map((each) => each.Key), ...(page.CommonPrefixes ?? []).map((each) => each.Prefix)].map(
        String,
      ),
    );
    expect(page.IsTruncated).toBe(page.NextContinuationToken !== undefined);
    token = page.NextContinuationToken;
  } while (token);
  return all;
}

describe('architecture §3, row S3: ListObjectsV2', () => {
  it('lists in the order of UTF-8 bytes, with size and ETag', async () => {
    const page = await list({});
    expect(page.Contents?.map((each) => each.Key)).toEqual(KEYS);
    expect(page).toMatchObject({ KeyCount: KEYS.length, IsTruncated: false, Name: BUCKET });
    expect(page.Contents?.[0]).toMatchObject({ Size: 3, ETag: expect.stringMatching(/^"[0-9a-f]{32}"$/) });
  });

  it('prefix and delimiter roll up', async () => {
    const top = await list({ Delimiter: '/' });
    expect(top.CommonPrefixes?.map((each) => each.Prefix)).toEqual(['a/', 'b/', 'd/']);
    expect(top.Contents?.map((each) => each.Key)).toEqual(['a<&>"', 'c', '日本', '\u{1F600}']);
    const inner = await list({ Prefix: 'a/', Delimiter: '/' });
    expect(inner.Contents?.map((each) => each.Key)).toEqual(['a/1', 'a/2']);
    expect(inner.CommonPrefixes?.map((each) => each.Prefix)).toEqual(['a/b/']);
    expect(await list({ Prefix: 'none' })).toMatchObject({ KeyCount: 0, IsTruncated: false });
  });

  it.each([1, 2, 3, 7])('pages of %i give every key once, in order', async (size) => {
    const got = await pages({ MaxKeys: size });
    expect(got.flat()).toEqual(KEYS);
    expect(got.every((page) => page.length <= size)).toBe(true);
  });

  it('pages through common prefixes without repeating one', async () => {
    const got = await pages({ MaxKeys: 1, Delimiter: '/' });
    expect(got.flat()).toEqual(['a/', 'a<&>"', 'b/', 'c', 'd/', '日本', '\u{1F600}']);
  });

  it('start-after, encoding-type=url, and a token that is none', async () => {
    expect((await list({ StartAfter: 'b/1' })).Contents?.[0]?.Key).toBe('c');
    expect((await list({ EncodingType: 'url', Prefix: 'a<' })).Contents?.[0]?.Key).toBe('a%3C%26%3E%22');
    expect(await failure(list({ ContinuationToken: '!!' }))).toMatchObject({ name: 'InvalidArgument', status: 400 });
  });

  it('a page holds at most 1000 keys', async () => {
    expect((await list({ MaxKeys: 5000 })).MaxKeys).toBe(1000);
  });
});
