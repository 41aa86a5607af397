import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { escapeFilter } from '../../../../runner-image/src/stream/escape-filter.ts';
import { CONTROL_HELD_MAX_CHARS } from '../../../../shared/limits.ts';
import { cut, cuts } from './cuts.ts';

const run = (pieces: readonly string[]) => {
  const filter = escapeFilter();
  return pieces.map((piece) => filter.push(piece)).join('');
};

describe('escape filter', () => {
  test.each([
    ['clipboard, BEL', '\x1b]52;c;aGVsbG8=\x07'],
    ['clipboard, ST', '\x1b]52;c;aGVsbG8=\x1b\\'],
    ['clipboard read', '\x1b]52;c;?\x07'],
    ['clipboard with C1 controls', '\u009d52;c;aGVsbG8=\u009c'],
    ['clipboard with leading zeros', '\x1b]00052;c;aGVsbG8=\x07'],
    ['clipboard with controls in its number', '\x1b\x00]\x015\x002\x1f;c;aGVsbG8=\x07'],
    ['title report', '\x1b[21t'],
    ['icon report', '\x1b[20t'],
    ['title report with C1', '\u009b21t'],
    ['title report in disguise', '\x1b[\x00002\x011;1t'],
  ])('%s is dropped', (_, sequence) => {
    expect(run([`a${sequence}b`])).toBe('ab');
    expect(run([...`a${sequence}b`])).toBe('ab');
  });

  test.each([
    '\x1b[31mred\x1b[0m',
    '\x1b]0;title\x07',
    '\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\',
    '\x1b]520;x\x07',
    '\x1b[22;0t\x1b[23;0t\x1b[14t',
    '\x1b[210t',
    '\x1bP+q544e\x1b\\',
    '\x1b(0lqk\x1b(B',
    'no control at all: 52;c;x 21t',
  ])('%j passes', (text) => {
    expect(run([`${text}.`])).toBe(`${text}.`);
    expect(run([...`${text}.`])).toBe(`${text}.`);
  });

  test('the result does not depend on the cuts', () => {
    const part = fc.constantFrom(
      '\x1b',
      '[',
      ']',
      '5',
      '2',
      '1',
      ';',
      'c',
      't',
      '\x07',
      '\\',
      '\u009d',
      '\u009c',
      '\u009b',
      'P',
      'm',
      '\x00',
      '\x18',
      'ä',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 60 }), cuts, (parts, sizes) => {
        const whole = `${parts.join('')}\x18.`;
        expect(run(cut(whole, sizes))).toBe(run([whole]));
      }),
      { numRuns: 2000 },
    );
  });

  test('a clipboard write longer than what is held is dropped to its end', () => {
    const payload = 'A'.repeat(CONTROL_HELD_MAX_CHARS);
    expect(run(['a\x1b]52;c;', payload, payload, 'x\x1b', '\\b'])).toBe('ab');
  });

  test('a long image passes, and what hides in its end does not', () => {
    const image = `\x1b]1337;File=:${'A'.repeat(3 * CONTROL_HELD_MAX_CHARS)}`;
    expect(run(cut(`${image}\x07\x1b]52;c;x\x07b`, [1000]))).toBe(`${image}\x07b`);
    expect(run(cut(`${image}\x1b]52;c;x\x07b`, [1000]))).toBe(`${image}b`);
  });
});
