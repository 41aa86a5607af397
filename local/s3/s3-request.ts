/** Takes an HTTP request apart the way S3 does: path style, raw path (dots are no directories), query and headers merged for presigned URLs. */
import type { IncomingMessage } from 'node:http';
import { S3Error } from './s3-error.ts';
import { KEY_MAX_BYTES } from './s3-limits.ts';
import { type SignedRequest, type SigningIdentity, verifySignature } from './sigv4.ts';

export interface S3Request extends SignedRequest {
  bucket: string;
  /** '' for a request about the bucket itself. */
  key: string;
  params: ReadonlyMap<string, string>;
}

export interface VerifiedRequest extends S3Request {
  /** `x-amz-content-sha256` as it was signed: a hex digest, UNSIGNED-PAYLOAD or a STREAMING- name. */
  payloadHash: string;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error('InvalidURI', "Couldn't parse the specified URI.");
  }
}

function flatHeaders(headers: IncomingMessage['headers']): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat[name] = Array.isArray(value) ? value.join(',') : value;
  }
  return flat;
}

/** Parses method, address and headers; throws InvalidURI or KeyTooLongError. */
export function parseRequest(method: string, url: string, headers: IncomingMessage['headers']): S3Request {
  const cut = url.indexOf('?');
  const rawPath = cut < 0 ? url : url.slice(0, cut);
  const query = (cut < 0 ? '' : url.slice(cut + 1))
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair): [string, string] => {
      const equals = pair.indexOf('=');
      return equals < 0 ? [decode(pair), ''] : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
    });
  const path = decode(rawPath);
  const [, bucket = '', key = ''] = /^\/([^/]*)(?:\/(.*))?$/s.exec(path) ?? [];
  if (Buffer.byteLength(key) > KEY_MAX_BYTES) throw new S3Error('KeyTooLongError', 'Your key is too long');
  return { method, rawPath, query, headers: flatHeaders(headers), bucket, key, params: new Map(query) };
}

/** Checks the signature and, for a presigned URL, lets x-amz-* query parameters count as the headers they were hoisted from. */
export function verifyRequest(request: S3Request, identity: SigningIdentity, nowMs: number): VerifiedRequest {
  const verdict = verifySignature(request, identity, nowMs);
  if (!verdict.ok) throw new S3Error(verdict.code, verdict.message);
  if (verdict.via === 'header') return { ...request, payloadHash: verdict.payloadHash };
  const hoisted = request.query.filter(([name]) => name.startsWith('x-amz-') && !(name in request.headers));
  return {
    ...request,
    headers: { ...request.headers, ...Object.fromEntries(hoisted) },
    payloadHash: verdict.payloadHash,
  };
}
