/** Keeps the keys of a bucket in the order S3 lists them, and cuts pages out of it. */

/** Order of the UTF-8 bytes of two strings: like UTF-16 order, but surrogates (above U+FFFF) come last. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at += 1) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left === right) continue;
    const leftHigh = left >= 0xd800 && left <= 0xdfff;
    const rightHigh = right >= 0xd800 && right <= 0xdfff;
    return leftHigh === rightHigh ? left - right : leftHigh ? 1 : -1;
  }
  return a.length - b.length;
}

/** Index of the first key that is not before `key`. */
export function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareUtf8(keys[middle] ?? '', key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface ListQuery {
  prefix: string;
  delimiter: string;
  /** Only what comes after this key or common prefix; '' for the start. */
  after: string;
  maxKeys: number;
}

export interface ListPage {
  keys: string[];
  commonPrefixes: string[];
  /** Last key or common prefix of the page where more follow. */
  nextAfter: string | undefined;
}

/** First index at or after `from` whose key does not begin with `prefix`. */
function skipPrefix(keys: readonly string[], from: number, prefix: string): number {
  let low = from;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? '').startsWith(prefix)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function startIndex(keys: readonly string[], query: ListQuery): number {
  const first = lowerBound(keys, query.prefix);
  if (query.after === '') return first;
  const after = lowerBound(keys, query.after);
  const passed = keys[after] === query.after ? after + 1 : after;
  const rolledUp =
    query.delimiter !== '' && query.after.endsWith(query.delimiter) && query.after.length > query.prefix.length;
  return Math.max(first, rolledUp ? skipPrefix(keys, after, query.after) : passed);
}

/** One page of `keys` (sorted by `compareUtf8`): keys and rolled-up prefixes count alike against `maxKeys` (S3 ListObjectsV2). */
export function listPage(keys: readonly string[], query: ListQuery): ListPage {
  const page: ListPage = { keys: [], commonPrefixes: [], nextAfter: undefined };
  let last = '';
  let at = startIndex(keys, query);
  for (;;) {
    const key = keys[at];
    if (key === undefined || !key.startsWith(query.prefix)) return page;
    if (page.keys.length + page.commonPrefixes.length >= query.maxKeys) {
      return { ...page, nextAfter: query.maxKeys === 0 ? undefined : last };
    }
    const cut = query.delimiter === '' ? -1 : key.indexOf(query.delimiter, query.prefix.length);
    if (cut < 0) {
      page.keys.push(key);
      last = key;
      at += 1;
    } else {
      last = key.slice(0, cut + query.delimiter.length);
      page.commonPrefixes.push(last);
      at = skipPrefix(keys, at, last);
    }
  }
}
