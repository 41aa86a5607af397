/** The parts of a request that every API Gateway event repeats, read once. */
import type { IncomingMessage } from 'node:http';
import type { Random } from '../../shared/clock.ts';

export interface Target {
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
}

export function targetOf(request: IncomingMessage): Target {
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  return mark < 0 ? { path: url, query: '' } : { path: url.slice(0, mark), query: url.slice(mark + 1) };
}

/** Headers in order with the case the client chose; `forced` (lower-case names) replaces what a client sent under these names. */
export function headerPairs(
  request: IncomingMessage,
  forced: Readonly<Record<string, string>>,
): readonly (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  for (let index = 0; index + 1 < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? '';
    if (forced[name.toLowerCase()] === undefined) pairs.push([name, request.rawHeaders[index + 1] ?? '']);
  }
  return [...pairs, ...Object.entries(forced)];
}

/** Values by name: all of them, in order. */
export function multiValues(pairs: Iterable<readonly [string, string]>): Record<string, string[]> {
  const values = new Map<string, string[]>();
  for (const [name, value] of pairs) {
    const known = values.get(name);
    if (known === undefined) values.set(name, [value]);
    else known.push(value);
  }
  return Object.fromEntries(values);
}

/** Values by name: the last one wins (payload 1.0). */
export const lastValues = (pairs: Iterable<readonly [string, string]>): Record<string, string> =>
  Object.fromEntries(pairs);

/** Values by name, several joined by a comma (payload 2.0). */
export function joinedValues(pairs: Iterable<readonly [string, string]>): Record<string, string> {
  return Object.fromEntries(Object.entries(multiValues(pairs)).map(([name, values]) => [name, values.join(',')]));
}

export const sourceIpOf = (request: IncomingMessage): string => request.socket.remoteAddress ?? '127.0.0.1';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;
const two = (value: number): string => String(value).padStart(2, '0');

/** `12/Mar/2026:19:03:58 +0000`, as in requestContext. */
export function commonLogTime(timeMs: number): string {
  const at = new Date(timeMs);
  const day = `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}`;
  return `${day}:${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} +0000`;
}

/** An id as API Gateway makes them: url-safe base64 that ends in `=`, which @connections callers must percent-encode. */
export const gatewayId = (random: Random): string => `${Buffer.from(random.hex(11), 'hex').toString('base64url')}=`;
