/** PUT of an object: nothing is visible until length, checksums, signature and condition have all been found right. */

import { decodeAwsChunked } from './aws-chunked.ts';
import { type BodyDigests, BodyHasher, checksumAlgorithm } from './checksums.ts';
import type { StoredObject } from './object-file.ts';
import {
  type ConditionFault,
  checkCondition,
  type ObjectStore,
  type Upload,
  type WriteCondition,
} from './object-store.ts';
import { S3Error } from './s3-error.ts';
import { USER_METADATA_MAX_BYTES } from './s3-limits.ts';
import type { VerifiedRequest } from './s3-request.ts';

const KEPT_HEADERS = [
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
];
const CHUNKED_PAYLOAD = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

export function conditionOf(headers: VerifiedRequest['headers']): WriteCondition {
  const ifNoneMatch = headers['if-none-match'];
  const ifMatch = headers['if-match'];
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*')
    throw new S3Error('NotImplemented', 'A PUT takes If-None-Match with * only.');
  return { ...(ifNoneMatch === '*' ? { ifNoneMatch } : {}), ...(ifMatch === undefined ? {} : { ifMatch }) };
}

export function throwConditionFault(fault: ConditionFault | undefined): void {
  if (fault === 'no_such_key') throw new S3Error('NoSuchKey', 'The specified key does not exist.');
  if (fault === 'precondition_failed')
    throw new S3Error('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
}

/** Size the client declares for the payload itself; S3 takes no body without one. */
function declaredLength(request: VerifiedRequest, maxBytes: number): number {
  const text = request.headers['x-amz-decoded-content-length'] ?? request.headers['content-length'] ?? '';
  if (!/^\d{1,15}$/.test(text))
    throw new S3Error('MissingContentLength', 'You must provide the Content-Length HTTP header.');
  const sizeBytes = Number(text);
  if (sizeBytes > maxBytes)
    throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', {
      MaxSizeAllowed: `${maxBytes}`,
    });
  return sizeBytes;
}

/** Headers that come back on GET; `aws-chunked` is framing, not an encoding of the object. */
function keptHeaders(headers: VerifiedRequest['headers']): Record<string, string> {
  const encoding = (headers['content-encoding'] ?? '').split(',').map((part) => part.trim());
  const kept: Record<string, string> = { 'content-type': 'binary/octet-stream' };
  let metadataBytes = 0;
  for (const [name, value] of Object.entries(headers)) {
    const isMetadata = name.startsWith('x-amz-meta-');
    if (isMetadata) metadataBytes += Buffer.byteLength(name) - 'x-amz-meta-'.length + Buffer.byteLength(value);
    if (isMetadata || (KEPT_HEADERS.includes(name) && name !== 'content-encoding')) kept[name] = value;
  }
  if (metadataBytes > USER_METADATA_MAX_BYTES)
    throw new S3Error('MetadataTooLarge', 'Your metadata headers exceed the maximum allowed metadata size');
  const realEncoding = encoding.filter((part) => part !== '' && part !== 'aws-chunked').join(',');
  return realEncoding === '' ? kept : { ...kept, 'content-encoding': realEncoding };
}

/** Refuses a digest that does not fit; returns the x-amz-checksum-* values that were checked, by algorithm. */
function verifyDigests(
  request: VerifiedRequest,
  trailers: ReadonlyMap<string, string>,
  digests: BodyDigests,
): Record<string, string> {
  const checked: Record<string, string> = {};
  for (const [name, value] of [...Object.entries(request.headers), ...trailers]) {
    const algorithm = checksumAlgorithm(name);
    if (!algorithm) continue;
    if (digests.checksums[algorithm] !== value) {
      throw new S3Error(
        'BadDigest',
        `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`,
      );
    }
    checked[algorithm] = value;
  }
  const md5 = request.headers['content-md5'];
  if (md5 !== undefined && md5 !== digests.md5Base64)
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
  if (/^[0-9a-f]{64}$/.test(request.payloadHash) && request.payloadHash !== digests.sha256Hex) {
    throw new S3Error(
      'XAmzContentSHA256Mismatch',
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
  }
  return checked;
}

function payloadOf(
  request: VerifiedRequest,
  body: AsyncIterable<Buffer>,
  trailers: Map<string, string>,
): AsyncIterable<Buffer> {
  if (request.payloadHash === CHUNKED_PAYLOAD) return decodeAwsChunked(body, trailers);
  if (request.payloadHash.startsWith('STREAMING-'))
    throw new S3Error('NotImplemented', `Payload ${request.payloadHash} is not taken here; use ${CHUNKED_PAYLOAD}.`);
  if (/^[0-9a-f]{64}$/.test(request.payloadHash) || request.payloadHash === 'UNSIGNED-PAYLOAD') return body;
  throw new S3Error('InvalidArgument', 'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- name or a digest.');
}

async function receive(request: VerifiedRequest, body: AsyncIterable<Buffer>, sizeBytes: number, upload: Upload) {
  const trailers = new Map<string, string>();
  const hasher = new BodyHasher();
  for await (const part of payloadOf(request, body, trailers)) {
    hasher.update(part);
    if (hasher.sizeBytes > sizeBytes) break;
    await upload.write(part);
  }
  if (hasher.sizeBytes !== sizeBytes)
    throw new S3Error(
      'IncompleteBody',
      'You did not provide the number of bytes specified by the Content-Length HTTP header',
    );
  const announced = request.headers['x-amz-trailer'];
  if (announced !== undefined && !trailers.has(announced.toLowerCase()))
    throw new S3Error('InvalidRequest', `The announced trailer ${announced} is missing.`);
  const digests = hasher.digests();
  return { digests, checksums: verifyDigests(request, trailers, digests) };
}

/**
 * Stores the body under the request's key and returns what was stored.
 * Throws S3Error: MissingContentLength, EntityTooLarge, IncompleteBody, BadDigest, XAmzContentSHA256Mismatch, PreconditionFailed, NoSuchKey (If-Match), …
 */
export async function putObject(
  store: ObjectStore,
  request: VerifiedRequest,
  body: AsyncIterable<Buffer>,
  nowMs: number,
  maxBytes: number,
): Promise<StoredObject> {
  const condition = conditionOf(request.headers);
  const headers = keptHeaders(request.headers);
  const sizeBytes = declaredLength(request, maxBytes);
  throwConditionFault(checkCondition(store.get(request.bucket, request.key), condition));
  const upload = await store.beginUpload();
  try {
    const { digests, checksums } = await receive(request, body, sizeBytes, upload);
    const object: StoredObject = {
      key: request.key,
      sizeBytes,
      etag: digests.md5Hex,
      lastModifiedMs: nowMs,
      headers,
      checksums,
    };
    await upload.finish(object);
    throwConditionFault(store.commit(request.bucket, object, upload, condition));
    return object;
  } finally {
    await upload.discard();
  }
}
