import { describe, expect, it } from 'vitest';
import { parseRange } from '../../../../local/s3/get-object.ts';
import { parseAmzDate, type SignedRequest, verifySignature } from '../../../../local/s3/sigv4.ts';

/** The presigned GET of the AWS documentation ("Authenticating Requests: Using Query Parameters"). */
const IDENTITY = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  region: 'us-east-1',
  service: 's3',
};
const SIGNED_AT_MS = Date.parse('2013-05-24T00:00:00Z');
const QUERY = {
  'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
  'X-Amz-Credential': 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request',
  'X-Amz-Date': '20130524T000000Z',
  'X-Amz-Expires': '86400',
  'X-Amz-SignedHeaders': 'host',
  'X-Amz-Signature': 'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
};
const presigned = (query: Record<string, string> = {}, headers: Record<string, string> = {}): SignedRequest => ({
  method: 'GET',
  rawPath: '/test.txt',
  query: Object.entries({ ...QUERY, ...query }),
  headers: { host: 'examplebucket.s3.amazonaws.com', ...headers },
});
const codeOf = (request: SignedRequest, nowMs = SIGNED_AT_MS) => {
  const verdict = verifySignature(request, IDENTITY, nowMs);
  return verdict.ok ? 'ok' : verdict.code;
};

describe('verifySignature', () => {
  it('accepts the example of the AWS documentation, in query and in headers', () => {
    expect(codeOf(presigned())).toBe('ok');
    // "GET Object" of "Authenticating Requests: Using the Authorization Header".
    const headers = {
      host: 'examplebucket.s3.amazonaws.com',
      range: 'bytes=0-9',
      'x-amz-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      'x-amz-date': '20130524T000000Z',
      authorization:
        'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    };
    const request = { method: 'GET', rawPath: '/test.txt', query: [], headers };
    expect(codeOf(request)).toBe('ok');
    expect(codeOf({ ...request, headers: { ...headers, range: 'bytes=0-8' } })).toBe('SignatureDoesNotMatch');
    expect(codeOf(request, SIGNED_AT_MS + 15 * 60_000)).toBe('ok');
    expect(codeOf(request, SIGNED_AT_MS + 15 * 60_000 + 1)).toBe('RequestTimeTooSkewed');
  });

  it.each([
    ['to its last millisecond', 86_400_000, 'ok'],
    ['not a millisecond longer', 86_400_001, 'AccessDenied'],
    ['a little early, for clocks differ', -15 * 60_000, 'ok'],
    ['not long before it was signed', -15 * 60_000 - 1, 'AccessDenied'],
  ])('a presigned URL holds %s', (_, afterMs, code) => {
    expect(codeOf(presigned(), SIGNED_AT_MS + afterMs)).toBe(code);
  });

  it.each([
    ['a date that is none', { 'X-Amz-Date': '20131324T000000Z' }],
    ['a date of another day than the scope', { 'X-Amz-Date': '20130525T000000Z' }],
    ['a negative life', { 'X-Amz-Expires': '-1' }],
    ['another algorithm', { 'X-Amz-Algorithm': 'AWS4-ECDSA-P256-SHA256' }],
    ['a scope of another service', { 'X-Amz-Credential': 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/sqs/aws4_request' }],
    ['a credential cut short', { 'X-Amz-Credential': 'AKIAIOSFODNN7EXAMPLE/20130524' }],
    ['no signed headers', { 'X-Amz-SignedHeaders': '' }],
  ])('calls %s malformed', (_, query) => {
    expect(codeOf(presigned(query))).toBe('AuthorizationQueryParametersError');
  });

  it('refuses a parameter given twice, an unsigned x-amz-* header, and a URL that does not sign its host', () => {
    const twice = presigned();
    expect(codeOf({ ...twice, query: [...twice.query, ['X-Amz-Expires', '99999']] })).toBe(
      'AuthorizationQueryParametersError',
    );
    expect(codeOf(presigned({}, { 'x-amz-acl': 'public-read' }))).toBe('AccessDenied');
    expect(codeOf(presigned({ 'X-Amz-SignedHeaders': 'range' }))).toBe('AccessDenied');
    expect(codeOf(presigned({ 'X-Amz-Signature': '' }))).toBe('SignatureDoesNotMatch');
  });
});

describe('parseAmzDate', () => {
  it('reads the basic format only', () => {
    expect(parseAmzDate('20130524T000000Z')).toBe(SIGNED_AT_MS);
    expect([parseAmzDate('2013-05-24T00:00:00Z'), parseAmzDate(''), parseAmzDate('20130524T006000Z')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('parseRange', () => {
  it.each([
    [undefined, 10, { kind: 'whole' }],
    ['bytes=2-', 10, { kind: 'part', first: 2, last: 9 }],
    ['bytes=-20', 10, { kind: 'part', first: 0, last: 9 }],
    ['bytes=-0', 10, { kind: 'unsatisfiable' }],
    ['bytes=0-', 0, { kind: 'unsatisfiable' }],
    ['bytes=5-2', 10, { kind: 'whole' }],
    ['bytes=-', 10, { kind: 'whole' }],
    ['lines=1-2', 10, { kind: 'whole' }],
  ])('%s of %i bytes', (header, size, range) => {
    expect(parseRange(header, size)).toEqual(range);
  });
});
