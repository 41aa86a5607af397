/** Lets the village page follow redirects to presigned GETs; every other origin and method stays closed to browsers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { S3Error } from './s3-error.ts';

const READ_METHODS = new Set(['GET', 'HEAD']);
const EXPOSED = 'etag, content-length, content-range, content-encoding, accept-ranges, last-modified, x-amz-request-id';

/** Adds the CORS headers where the request comes from one of `origins` and only reads. */
export function addCorsHeaders(request: IncomingMessage, response: ServerResponse, origins: ReadonlySet<string>): void {
  const origin = request.headers.origin;
  response.setHeader('vary', 'origin');
  if (origin === undefined || !origins.has(origin) || !READ_METHODS.has(request.method ?? '')) return;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-expose-headers', EXPOSED);
}

/** Answers a preflight; throws AccessForbidden for another origin or a method that writes. */
export function answerPreflight(
  request: IncomingMessage,
  response: ServerResponse,
  origins: ReadonlySet<string>,
): void {
  const origin = request.headers.origin ?? '';
  const method = request.headers['access-control-request-method'] ?? '';
  if (!origins.has(origin) || !READ_METHODS.has(method)) {
    throw new S3Error('AccessForbidden', 'CORSResponse: This CORS request is not allowed.');
  }
  response.writeHead(200, {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'GET, HEAD',
    'access-control-allow-headers': request.headers['access-control-request-headers'] ?? '',
    'access-control-max-age': '600',
    vary: 'origin, access-control-request-headers, access-control-request-method',
  });
  response.end();
}
