import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { redactor } from '../../../../runner-image/src/stream/redactor.ts';
import { REDACTOR_SHOWN_PREFIX_MAX_CHARS } from '../../../../shared/limits.ts';
import { cut, cuts } from './cuts.ts';

const SHOWN_MAX = REDACTOR_SHOWN_PREFIX_MAX_CHARS - 1;

/** The pieces one after the other; `null` is a silence. */
const run = (secrets: readonly string[], pieces: readonly (string | null)[]) => {
  const masks = redactor(secrets);
  const parts = [...pieces.map((piece) => (piece === null ? masks.flush() : masks.push(piece))), masks.flush()];
  return {
    text: parts.map(({ text }) => text).join(''),
    redactions: parts.reduce((sum, part) => sum + part.redactions, 0),
  };
};
type Covered = { readonly isSecret: boolean; readonly mayShow: boolean };
/** What becomes of every character, by comparing at every place: slow, and obviously right. */
const oracle = (secrets: readonly string[], text: string): Covered[] => {
  const depths: (number | undefined)[] = [...text].map(() => undefined);
  for (const secret of secrets)
    for (let at = 0; at + secret.length <= text.length; at += 1)
      if (text.startsWith(secret, at))
        for (let index = 0; index < secret.length; index += 1)
          depths[at + index] = Math.max(depths[at + index] ?? 0, index);
  return depths.map((depth) => ({ isSecret: depth !== undefined, mayShow: (depth ?? 0) < SHOWN_MAX }));
};

const secrets = fc.uniqueArray(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 6, maxLength: 9 }), {
  minLength: 1,
  maxLength: 3,
});
const filler = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
const textWith = (known: readonly string[]) =>
  fc.array(fc.oneof(filler, fc.constantFrom(...known)), { maxLength: 12 }).map((parts) => `${parts.join('')}#`);
const cases = secrets.chain((known) => fc.tuple(fc.constant(known), textWith(known), cuts));

describe('redactor', () => {
  test('what comes as a whole is masked as a whole, overlapping secrets included, and nothing else', () => {
    fc.assert(
      fc.property(cases, ([known, whole]) => {
        const covered = oracle(known, whole);
        expect(run(known, [whole]).text).toBe([...whole].map((at, i) => (covered[i]?.isSecret ? '*' : at)).join(''));
      }),
      { numRuns: 1000 },
    );
  });

  test('wherever the stream is cut, only the first characters of a secret may show, and counts stay', () => {
    fc.assert(
      fc.property(cases, ([known, whole, sizes]) => {
        const { text, redactions } = run(known, cut(whole, sizes));
        const covered = oracle(known, whole);
        const wrong = [...whole].filter((at, i) => {
          const { isSecret = false, mayShow = false } = covered[i] ?? {};
          return !(text[i] === at ? !isSecret || mayShow : isSecret && text[i] === '*');
        });
        expect([text.length, wrong]).toEqual([whole.length, []]);
        expect(redactions).toBe(run(known, [whole]).redactions);
      }),
      { numRuns: 3000 },
    );
  });

  test('silences at any place show no more of a secret', () => {
    const silences = fc.array(fc.boolean(), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(cases, silences, ([known, whole, sizes], silent) => {
        const pieces = cut(whole, sizes).flatMap((piece, i) => (silent[i % silent.length] ? [piece, null] : [piece]));
        const { text } = run(known, pieces);
        const covered = oracle(known, whole);
        const shown = [...whole].filter((at, i) => text[i] === at && covered[i]?.isSecret && !covered[i].mayShow);
        expect([text.length, shown]).toEqual([whole.length, []]);
      }),
      { numRuns: 3000 },
    );
  });

  test('one character at a time, a secret with wide characters and a line end keeps its cells', () => {
    const { text, redactions } = run(['päss\nワ=1'], [...'x päss\r\nワ=1 y']);
    expect(text).toBe('x päs*\r\n**** y');
    expect(redactions).toBe(1);
  });

  test('an echoed character that begins a secret is shown at once, and the rest of the secret masked', () => {
    const masks = redactor(['secret-1']);
    expect([...'sec'].map((key) => masks.push(key).text)).toEqual(['s', 'e', 'c']);
    expect(masks.heldChars).toBe(0);
    expect(masks.push('r')).toEqual({ text: '', redactions: 0 });
    expect(masks.push('et-1!')).toEqual({ text: '*****!', redactions: 1 });
  });

  test('nothing is held back that cannot become a secret', () => {
    const masks = redactor(['secret-1']);
    expect(masks.push('plain text').text).toBe('plain text');
    expect(masks.push('a secr').text).toBe('a ');
    expect(masks.heldChars).toBe(4);
    expect(masks.push('ond').text).toBe('secrond');
  });

  test('after silence a beginning that was held back is masked, once counted, and so is the rest', () => {
    const masks = redactor(['secret-0123456789']);
    masks.push('secret-0123');
    expect(masks.flush()).toEqual({ text: '***********', redactions: 1 });
    expect(masks.flush()).toEqual({ text: '', redactions: 0 });
    masks.push('4');
    expect(masks.flush()).toEqual({ text: '*', redactions: 0 });
    expect(masks.push('56789.')).toEqual({ text: '*****.', redactions: 0 });
  });

  test('secrets that would mask everything, or too much of them, are refused', () => {
    expect(() => redactor(['abc'])).toThrow(/6 to/);
    expect(() => redactor(Array.from({ length: 300 }, (_, index) => `secret-${index}`))).toThrow(/more than/);
  });
});
