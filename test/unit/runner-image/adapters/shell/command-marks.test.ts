import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandMarks } from '../../../../../runner-image/src/adapters/shell/command-marks.ts';

const seen = (pieces: readonly string[]) => {
  const found: [number, string][] = [];
  const take = commandMarks((exitCode, command) => found.push([exitCode, command]));
  for (const piece of pieces) take(piece);
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

  it('drops what is malformed or endless, and goes on', () => {
    expect(seen([mark('x', 'a'), mark('0', ''), mark('0', '  3  ')])).toEqual([]);
    expect(seen(['\x1b]633;V;', 'x'.repeat(9_000), 'x', '\x07', mark('0', ' 1 ls')])).toEqual([[0, 'ls']]);
  });
});
