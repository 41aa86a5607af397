import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAwsChunked } from '../../../../local/s3/aws-chunked.ts';

async function* cut(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function decode(bytes: Buffer, sizes: readonly number[] = [7]) {
  const trailers = new Map<string, string>();
  const parts: Buffer[] = [];
  for await (const part of decodeAwsChunked(cut(bytes, sizes), trailers)) parts.push(part);
  return { body: Buffer.concat(parts), trailers: Object.fromEntries(trailers) };
}

const frame = (chunks: readonly Uint8Array[], trailer = '') =>
  Buffer.concat([
    ...chunks.flatMap((chunk) => [Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]),
    Buffer.from(`0\r\n${trailer}\r\n`),
  ]);

describe('decodeAwsChunked', () => {
  it('gives back what was framed, however the network cuts it', async () => {
    const chunk = fc.uint8Array({ minLength: 1, maxLength: 300 });
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 6 }), sizes, async (chunks, cuts) => {
        const decoded = await decode(frame(chunks, 'x-amz-checksum-crc32: AAAA==\r\n'), cuts);
        expect(decoded.body).toEqual(Buffer.concat(chunks));
        expect(decoded.trailers).toEqual({ 'x-amz-checksum-crc32': 'AAAA==' });
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ['no final chunk', '3\r\nabc\r\n'],
    ['a chunk that ends early', '5\r\nabc'],
    ['a chunk longer than it says', '2\r\nabc\r\n0\r\n\r\n'],
    ['no size', 'abc\r\n\r\n'],
    ['a size that is no number', '-1\r\n\r\n'],
    ['a trailer without a name', '0\r\n: x\r\n\r\n'],
    ['trailers without an end', '0\r\na: b\r\n'],
    ['a line without an end', 'a'.repeat(10_000)],
    ['too many trailers', `0\r\n${Array.from({ length: 9 }, (_, at) => `t${at}: v\r\n`).join('')}\r\n`],
  ])('refuses %s', async (_, text) => {
    await expect(decode(Buffer.from(text))).rejects.toMatchObject({ code: 'IncompleteBody' });
  });
});
