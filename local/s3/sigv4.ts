/** Checks AWS Signature Version 4, in headers and in presigned URLs, so that a wrong signature fails locally as it does on AWS. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { CLOCK_SKEW_MAX_MS, PRESIGN_MAX_SECONDS } from './s3-limits.ts';

export interface SigningIdentity {
  accessKeyId: string;
  secretAccessKey: string;
  region: string;
  /** Service name of the credential scope: `s3`, `secretsmanager`. */
  service: string;
  /** Every service but S3 escapes the path as it came once more in what is signed; for `/` alone it is the same. */
  escapesPathAgain?: boolean;
}

export interface SignedRequest {
  method: string;
  /** Percent-encoded path as it came, without the query. */
  rawPath: string;
  /** Decoded name and value pairs, in any order. */
  query: readonly (readonly [string, string])[];
  /** Lower-case names. */
  headers: Readonly<Record<string, string>>;
}

export type SignatureFault =
  | 'AccessDenied'
  | 'AuthorizationHeaderMalformed'
  | 'AuthorizationQueryParametersError'
  | 'InvalidAccessKeyId'
  | 'InvalidToken'
  | 'RequestTimeTooSkewed'
  | 'SignatureDoesNotMatch';

export type SignatureVerdict =
  | { ok: true; via: 'header' | 'query'; payloadHash: string; signedHeaders: ReadonlySet<string> }
  | { ok: false; code: SignatureFault; message: string };

interface Claim {
  via: 'header' | 'query';
  accessKeyId: string;
  scopeDate: string;
  scope: string;
  amzDate: string;
  signedHeaders: string[];
  signature: string;
  payloadHash: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const UNSIGNED = 'UNSIGNED-PAYLOAD';

/** RFC 3986 escaping as SigV4 wants it: everything but A-Z a-z 0-9 - . _ ~. */
export const awsEscape = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const fault = (code: SignatureFault, message: string) => ({ ok: false as const, code, message });
const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** `20260131T235959Z` → milliseconds since 1970, or undefined where it is no such date. */
export function parseAmzDate(text: string): number | undefined {
  const parts = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (!parts) return undefined;
  const ms = Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function canonicalRequest(request: SignedRequest, claim: Claim, escapesPathAgain: boolean): string {
  const query = request.query
    .filter(([name]) => !(claim.via === 'query' && name === 'X-Amz-Signature'))
    .map(([name, value]) => [awsEscape(name), awsEscape(value)] as const)
    .sort((a, b) => byText(a[0], b[0]) || byText(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const path = request.rawPath
    .split('/')
    .map((part) => awsEscape(escapesPathAgain ? part : decodeURIComponent(part)))
    .join('/');
  const headers = claim.signedHeaders.map(
    (name) => `${name}:${(request.headers[name] ?? '').trim().replace(/\s+/g, ' ')}\n`,
  );
  return [request.method, path, query, headers.join(''), claim.signedHeaders.join(';'), claim.payloadHash].join('\n');
}

/** The same for a day, and asked for with each post to a viewer; the oldest is forgotten. */
const signingKeys = new Map<string, Buffer>();
const SIGNING_KEYS_MAX = 16;

function signingKey({ secretAccessKey, region, service }: SigningIdentity, scopeDate: string): Buffer {
  const name = [secretAccessKey, scopeDate, region, service].join('\n');
  const known = signingKeys.get(name);
  if (known !== undefined) return known;
  const day = hmac(`AWS4${secretAccessKey}`, scopeDate);
  const key = hmac(hmac(hmac(day, region), service), 'aws4_request');
  signingKeys.set(name, key);
  const oldest = signingKeys.keys().next().value;
  if (signingKeys.size > SIGNING_KEYS_MAX && oldest !== undefined) signingKeys.delete(oldest);
  return key;
}

/** Signature of `request` under `claim`'s scope (AWS SigV4: date → region → service → aws4_request). */
function expectedSignature(request: SignedRequest, claim: Claim, identity: SigningIdentity): string {
  const key = signingKey(identity, claim.scopeDate);
  const canonical = canonicalRequest(request, claim, identity.escapesPathAgain ?? false);
  const toSign = [ALGORITHM, claim.amzDate, claim.scope, sha256Hex(canonical)].join('\n');
  return hmac(key, toSign).toString('hex');
}

function splitCredential(credential: string): { accessKeyId: string; scopeDate: string; scope: string } | undefined {
  const parts = credential.split('/');
  if (parts.length < 5) return undefined;
  const scopeParts = parts.slice(-4);
  return { accessKeyId: parts.slice(0, -4).join('/'), scopeDate: scopeParts[0] ?? '', scope: scopeParts.join('/') };
}

function headerClaim(request: SignedRequest, authorization: string): Claim | undefined {
  const match = /^AWS4-HMAC-SHA256\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
    authorization,
  );
  const credential = match?.[1] ? splitCredential(match[1]) : undefined;
  if (!match?.[2] || !match[3] || !credential) return undefined;
  return {
    via: 'header',
    ...credential,
    amzDate: request.headers['x-amz-date'] ?? '',
    signedHeaders: match[2].split(';'),
    signature: match[3],
    payloadHash: request.headers['x-amz-content-sha256'] ?? '',
  };
}

function queryClaim(request: SignedRequest): Claim | undefined {
  const query = new Map(request.query);
  const credential = splitCredential(query.get('X-Amz-Credential') ?? '');
  const signature = query.get('X-Amz-Signature') ?? '';
  const signedHeaders = query.get('X-Amz-SignedHeaders') ?? '';
  if (query.get('X-Amz-Algorithm') !== ALGORITHM || !credential || !signedHeaders) return undefined;
  // A parameter given twice could be read one way here and another way later.
  if (query.size !== request.query.length) return undefined;
  const payloadHash = query.get('X-Amz-Content-Sha256') ?? request.headers['x-amz-content-sha256'] ?? UNSIGNED;
  return {
    via: 'query',
    ...credential,
    amzDate: query.get('X-Amz-Date') ?? '',
    signedHeaders: signedHeaders.split(';'),
    signature,
    payloadHash,
  };
}

function checkTime(claim: Claim, request: SignedRequest, nowMs: number): SignatureVerdict | undefined {
  const malformed = claim.via === 'query' ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed';
  const signedAtMs = parseAmzDate(claim.amzDate);
  if (signedAtMs === undefined || !claim.amzDate.startsWith(claim.scopeDate))
    return fault(malformed, 'The date is missing or is not of the credential scope.');
  if (claim.via === 'header') {
    if (Math.abs(nowMs - signedAtMs) <= CLOCK_SKEW_MAX_MS) return undefined;
    return fault('RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.');
  }
  const expires = new Map(request.query).get('X-Amz-Expires') ?? '';
  if (!/^\d{1,7}$/.test(expires) || Number(expires) > PRESIGN_MAX_SECONDS)
    return fault(malformed, `X-Amz-Expires must be between 0 and ${PRESIGN_MAX_SECONDS} seconds.`);
  if (signedAtMs - nowMs > CLOCK_SKEW_MAX_MS) return fault('AccessDenied', 'Request is not yet valid');
  if (nowMs > signedAtMs + Number(expires) * 1000) return fault('AccessDenied', 'Request has expired');
  return undefined;
}

/** Headers S3 wants under the signature: host, and every x-amz-* that is present. */
function unsignedHeaders(request: SignedRequest, claim: Claim): string[] {
  const signed = new Set(claim.signedHeaders);
  const required = Object.keys(request.headers).filter(
    (name) => name.startsWith('x-amz-') && name !== 'x-amz-content-sha256',
  );
  return ['host', ...required].filter((name) => !signed.has(name));
}

/**
 * Verifies the signature of one request at `nowMs` (milliseconds since 1970).
 * Rules: AWS "Authenticating Requests (AWS Signature Version 4)"; expiry and clock skew of S3; session tokens are refused, for there are none here.
 */
export function verifySignature(request: SignedRequest, identity: SigningIdentity, nowMs: number): SignatureVerdict {
  const authorization = request.headers.authorization;
  const presigned = request.query.some(([name]) => name === 'X-Amz-Signature' || name === 'X-Amz-Algorithm');
  if (!authorization && !presigned) return fault('AccessDenied', 'Access Denied');
  const claim = authorization ? headerClaim(request, authorization) : queryClaim(request);
  if (!claim)
    return fault(
      authorization ? 'AuthorizationHeaderMalformed' : 'AuthorizationQueryParametersError',
      'The authorization is not well formed.',
    );
  if (request.headers['x-amz-security-token'] || request.query.some(([name]) => name === 'X-Amz-Security-Token')) {
    return fault('InvalidToken', 'The provided token is malformed or otherwise invalid.');
  }
  if (claim.accessKeyId !== identity.accessKeyId)
    return fault('InvalidAccessKeyId', 'The AWS access key Id you provided does not exist in our records.');
  const scope = `${claim.scopeDate}/${identity.region}/${identity.service}/aws4_request`;
  if (claim.scope !== scope)
    return fault(
      claim.via === 'query' ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed',
      `The credential scope must be <date>/${identity.region}/${identity.service}/aws4_request.`,
    );
  const late = checkTime(claim, request, nowMs);
  if (late) return late;
  const unsigned = unsignedHeaders(request, claim);
  if (unsigned.length > 0)
    return fault(
      'AccessDenied',
      `There were headers present in the request which were not signed: ${unsigned.join(', ')}`,
    );
  const expected = Buffer.from(expectedSignature(request, claim, identity));
  const given = Buffer.from(claim.signature);
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) {
    return fault(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided.',
    );
  }
  return { ok: true, via: claim.via, payloadHash: claim.payloadHash, signedHeaders: new Set(claim.signedHeaders) };
}
