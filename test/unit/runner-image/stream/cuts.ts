/** Arbitrary ways to cut one stream into pieces. */
import fc from 'fast-check';

/** Sizes of pieces; used round and round until the stream is used up. */
export const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 });

export const cut = <T extends { slice(from: number, to: number): T; length: number }>(
  whole: T,
  sizes: readonly number[],
): T[] => {
  const pieces: T[] = [];
  for (let at = 0, turn = 0; at < whole.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    pieces.push(whole.slice(at, at + size));
    at += size;
  }
  return pieces;
};
