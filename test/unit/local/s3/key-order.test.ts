import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareUtf8, listPage, lowerBound } from '../../../../local/s3/key-order.ts';

const key = fc
  .array(fc.constantFrom('a', 'b', '/', '\u{1F600}', '\uFFEE', 'é'), { minLength: 1, maxLength: 6 })
  .map((parts) => parts.join(''));
const sorted = fc.uniqueArray(key, { maxLength: 30 }).map((keys) => keys.toSorted(compareUtf8));

describe('compareUtf8', () => {
  it('orders like the UTF-8 bytes', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });
});

describe('lowerBound', () => {
  it('is where the key is or would be', () => {
    fc.assert(
      fc.property(sorted, key, (keys, wanted) => {
        expect(lowerBound(keys, wanted)).toBe(keys.filter((each) => compareUtf8(each, wanted) < 0).length);
      }),
    );
  });
});

describe('listPage', () => {
  it('pages of any size give what one page gives', () => {
    fc.assert(
      fc.property(
        sorted,
        fc.constantFrom('', 'a', 'a/', '/'),
        fc.constantFrom('', '/'),
        fc.integer({ min: 1, max: 5 }),
        (keys, prefix, delimiter, maxKeys) => {
          const names = new Set(
            keys
              .filter((each) => each.startsWith(prefix))
              .map((each) => {
                const cut = delimiter === '' ? -1 : each.indexOf(delimiter, prefix.length);
                return cut < 0 ? each : each.slice(0, cut + 1);
              }),
          );
          const got: string[] = [];
          let after: string | undefined = '';
          while (after !== undefined) {
            const page = listPage(keys, { prefix, delimiter, after, maxKeys });
            got.push(...[...page.keys, ...page.commonPrefixes].toSorted(compareUtf8));
            after = page.nextAfter;
          }
          expect(got).toEqual([...names]);
        },
      ),
    );
  });

  it('a page of none is empty and complete', () => {
    expect(listPage(['a'], { prefix: '', delimiter: '', after: '', maxKeys: 0 })).toEqual({
      keys: [],
      commonPrefixes: [],
      nextAfter: undefined,
    });
  });
});
