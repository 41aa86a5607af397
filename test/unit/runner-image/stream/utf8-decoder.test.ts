import fc from 'fast-check';
import { expect, test } from 'vitest';
import { utf8Decoder } from '../../../../runner-image/src/stream/utf8-decoder.ts';
import { cut, cuts } from './cuts.ts';

const decode = (pieces: readonly Uint8Array[]) => {
  const decoder = utf8Decoder();
  const texts = pieces.map((piece) => decoder.push(piece));
  return { texts, all: texts.join('') + decoder.end() };
};

test('any bytes, cut anywhere, become what a TextDecoder makes of the whole', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.string({ unit: 'binary', maxLength: 80 }).map((text) => new Uint8Array(Buffer.from(text))),
    // Many lead and continuation bytes in a row, where decoders differ.
    fc
      .array(fc.constantFrom(0xe2, 0x9c, 0xb3, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xa0, 0xc0, 0xf4, 0x90, 0x41), {
        maxLength: 60,
      })
      .map((list) => new Uint8Array(list)),
  );
  fc.assert(
    fc.property(bytes, cuts, (whole, sizes) => {
      const { texts, all } = decode(cut(whole, sizes));
      expect(all).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(whole));
      for (const text of texts) expect(text.isWellFormed()).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test('an unfinished character waits for its rest, an invalid one does not', () => {
  const decoder = utf8Decoder();
  expect(decoder.push(Buffer.from([0x41, 0xf0, 0x9f]))).toBe('A');
  expect(decoder.heldBytes).toBe(2);
  expect(decoder.push(Buffer.from([0x98, 0x80]))).toBe('😀');
  expect(decoder.push(Buffer.from([0xe0, 0x80]))).toBe('\uFFFD\uFFFD');
  expect(decoder.heldBytes).toBe(0);
});
