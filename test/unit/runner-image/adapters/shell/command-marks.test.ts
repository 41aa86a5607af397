import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandMarks } from '../../../../../runner-image/src/adapters/shell/command-marks.ts';

const seen = (pieces: readonly (string | Buffer)[], fromOffset = 0) => {
  const found: [number, string][] = [];
  const take = commandMarks(({ exitCode, command }) => void found.push([exitCode, command]), fromOffset);
  let offset = 0;
  for (const piece of pieces) {
    const bytes = Buffer.from(piece);
    take(bytes, offset);
    offset += bytes.length;
  }
  return found;
};
const mark = (code: string, line: string) => `\x1b]633;V;${code};${line}\x07`;

describe('commandMarks', () => {
  it('finds each command, however the output is cut', () => {
    const text = `out\x1b[0m${mark('0', '    1  ls -l')}more\x1b]0;title\x07${mark('127', '   12* nope; \x1b]633;V')}end`;
    const whole = seen([text]);
    expect(whole).toEqual([
      [0, 'ls -l'],
      [127, 'nope; \x1b]633;V'],
    ]);
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 6 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), text.length];
        expect(seen(at.slice(1).map((end, index) => text.slice(at[index], end)))).toEqual(whole);
      }),
    );
  });

  it('reports what ends behind an offset, which is that of the bytes', () => {
    const text = Buffer.from(`ü€${mark('0', ' 1 echo ü')}é${mark('1', ' 2 false')}`);
    const places: number[] = [];
    commandMarks(({ endOffset }) => void places.push(endOffset))(text, 100);
    const [first = 0, second = 0] = places.map((place) => place - 100);
    expect([second, text[first - 1]]).toEqual([text.length, 7]);
    for (const cut of [0, 3, first, second - 1]) {
      const pieces = [text.subarray(0, cut), text.subarray(cut)];
      expect(seen(pieces, 0)).toEqual([
        [0, 'echo ü'],
        [1, 'false'],
      ]);
      expect(seen(pieces, first)).toEqual([[1, 'false']]);
      expect(seen(pieces, second)).toEqual([]);
    }
  });

  it('drops what is malformed or endless, and goes on', () => {
    expect(seen([mark('x', 'a'), mark('0', ''), mark('0', '  3  ')])).toEqual([]);
    expect(seen(['\x1b]633;V;', 'x'.repeat(9_000), 'x', '\x07', mark('0', ' 1 ls')])).toEqual([[0, 'ls']]);
  });
});
