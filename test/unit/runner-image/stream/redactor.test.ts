import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { redactor } from '../../../../runner-image/src/stream/redactor.ts';
import { cut, cuts } from './cuts.ts';

const run = (secrets: readonly string[], pieces: readonly string[]) => {
  const masks = redactor(secrets);
  const parts = [...pieces.map((piece) => masks.push(piece)), masks.flush()];
  return {
    text: parts.map(({ text }) => text).join(''),
    redactions: parts.reduce((sum, part) => sum + part.redactions, 0),
  };
};
/** Masks every occurrence by comparing at every place: slow, and obviously right. */
const oracle = (secrets: readonly string[], text: string) => {
  const covered = new Set<number>();
  for (const secret of secrets)
    for (let at = 0; at + secret.length <= text.length; at += 1)
      if (text.startsWith(secret, at)) for (let index = at; index < at + secret.length; index += 1) covered.add(index);
  return [...text].map((character, index) => (covered.has(index) ? '*' : character)).join('');
};

describe('redactor', () => {
  test('masks wherever the stream is cut, overlapping secrets included', () => {
    const secrets = fc.uniqueArray(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 6, maxLength: 9 }), {
      minLength: 1,
      maxLength: 3,
    });
    const filler = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
    const text = (known: readonly string[]) =>
      fc.array(fc.oneof(filler, fc.constantFrom(...known)), { maxLength: 12 }).map((parts) => `${parts.join('')}#`);
    const cases = secrets.chain((known) => fc.tuple(fc.constant(known), text(known), cuts));
    fc.assert(
      fc.property(cases, ([known, whole, sizes]) => {
        expect(run(known, cut(whole, sizes)).text).toBe(oracle(known, whole));
        expect(run(known, cut(whole, sizes)).redactions).toBe(run(known, [whole]).redactions);
      }),
      { numRuns: 2000 },
    );
  });

  test('one character at a time, a secret with wide characters and a line end keeps its cells', () => {
    const { text, redactions } = run(['päss\nワ=1'], [...'x päss\r\nワ=1 y']);
    expect(text).toBe('x ****\r\n**** y');
    expect(redactions).toBe(1);
  });

  test('nothing is held back that cannot become a secret', () => {
    const masks = redactor(['secret-1']);
    expect(masks.push('plain text').text).toBe('plain text');
    expect(masks.push('a sec').text).toBe('a ');
    expect(masks.heldChars).toBe(3);
    expect(masks.push('ond').text).toBe('second');
  });

  test('after silence a short beginning is shown, and the rest of the secret still masked', () => {
    const masks = redactor(['secret-1']);
    expect(masks.push('sec')).toEqual({ text: '', redactions: 0 });
    expect(masks.flush().text).toBe('sec');
    expect(masks.flush().text).toBe('');
    expect(masks.push('ret-1!')).toEqual({ text: '*****!', redactions: 1 });
  });

  test('after silence a long beginning is masked', () => {
    const masks = redactor(['secret-0123456789']);
    masks.push('secret-0123');
    expect(masks.flush()).toEqual({ text: '***********', redactions: 1 });
    expect(masks.push('456789.').text).toBe('******.');
  });

  test('secrets that would mask everything, or too much of them, are refused', () => {
    expect(() => redactor(['abc'])).toThrow(/6 to/);
    expect(() => redactor(Array.from({ length: 300 }, (_, index) => `secret-${index}`))).toThrow(/more than/);
  });
});
