/** GET and HEAD of an object: conditions, one byte range, and the headers a presigned URL may override. */
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { StoredObject } from './object-file.ts';
import type { ObjectStore } from './object-store.ts';
import { S3Error } from './s3-error.ts';
import type { VerifiedRequest } from './s3-request.ts';

export type ByteRange = { kind: 'whole' } | { kind: 'part'; first: number; last: number } | { kind: 'unsatisfiable' };

/** One range of `bytes=`; several ranges or another unit mean the whole object, as in S3. */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return { kind: 'whole' };
  if (match[1] === '') {
    const suffix = Number(match[2]);
    if (suffix === 0 || sizeBytes === 0) return { kind: 'unsatisfiable' };
    return { kind: 'part', first: Math.max(0, sizeBytes - suffix), last: sizeBytes - 1 };
  }
  const first = Number(match[1]);
  const last = match[2] === '' ? sizeBytes - 1 : Math.min(Number(match[2]), sizeBytes - 1);
  if (match[2] !== '' && Number(match[2]) < first) return { kind: 'whole' };
  return first >= sizeBytes ? { kind: 'unsatisfiable' } : { kind: 'part', first, last };
}

const quoted = (etag: string): string => `"${etag}"`;
const names = (header: string, etag: string): boolean =>
  header === '*' || header.split(',').some((each) => each.trim().replaceAll('"', '') === etag);

function objectHeaders(object: StoredObject, request: VerifiedRequest): Record<string, string> {
  const headers: Record<string, string> = {
    ...object.headers,
    etag: quoted(object.etag),
    'last-modified': new Date(object.lastModifiedMs).toUTCString(),
    'accept-ranges': 'bytes',
  };
  for (const name of [
    'content-type',
    'content-disposition',
    'content-encoding',
    'content-language',
    'cache-control',
    'expires',
  ]) {
    const override = request.params.get(`response-${name}`);
    if (override !== undefined) headers[name] = override.replaceAll(/[\r\n]/g, ' ');
  }
  return headers;
}

/** Checksums go out for the whole object only: they do not fit a part of it. */
function checksumHeaders(object: StoredObject, request: VerifiedRequest): Record<string, string> {
  if (request.headers['x-amz-checksum-mode']?.toUpperCase() !== 'ENABLED') return {};
  return Object.fromEntries(Object.entries(object.checksums).map(([name, value]) => [`x-amz-checksum-${name}`, value]));
}

/** Answers GET or HEAD; throws NoSuchKey, PreconditionFailed or InvalidRange. */
export async function getObject(store: ObjectStore, request: VerifiedRequest, response: ServerResponse): Promise<void> {
  const object = store.get(request.bucket, request.key);
  if (!object) throw new S3Error('NoSuchKey', 'The specified key does not exist.', { Key: request.key });
  const ifMatch = request.headers['if-match'];
  if (ifMatch !== undefined && !names(ifMatch, object.etag))
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  const headers = objectHeaders(object, request);
  const ifNoneMatch = request.headers['if-none-match'];
  if (ifNoneMatch !== undefined && names(ifNoneMatch, object.etag)) {
    response.writeHead(304, { etag: quoted(object.etag), 'last-modified': headers['last-modified'] }).end();
    return;
  }
  const range = parseRange(request.headers.range, object.sizeBytes);
  if (range.kind === 'unsatisfiable')
    throw new S3Error('InvalidRange', 'The requested range is not satisfiable', {
      ActualObjectSize: `${object.sizeBytes}`,
    });
  const [first, last] = range.kind === 'part' ? [range.first, range.last] : [0, object.sizeBytes - 1];
  const rangeHeader =
    range.kind === 'part'
      ? { 'content-range': `bytes ${first}-${last}/${object.sizeBytes}` }
      : checksumHeaders(object, request);
  response.writeHead(range.kind === 'part' ? 206 : 200, {
    ...headers,
    ...rangeHeader,
    'content-length': `${last - first + 1}`,
  });
  if (request.method === 'HEAD' || object.sizeBytes === 0) {
    response.end();
    return;
  }
  await pipeline(store.read(request.bucket, request.key, first, last), response);
}
