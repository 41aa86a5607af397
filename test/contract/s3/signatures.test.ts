import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import {
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BUCKET, failure, KEYS, ORIGIN, type S3Harness, s3Harness } from './s3-harness.ts';

let harness: S3Harness;
beforeEach(async () => {
  harness = await s3Harness();
  await harness.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'a b/c', Body: 'content' }));
});
afterEach(() => harness.stop());

const presignGet = (expiresIn = 60) =>
  getSignedUrl(harness.client, new GetObjectCommand({ Bucket: BUCKET, Key: 'a b/c' }), { expiresIn });
const UNHOISTED = new Set(['x-amz-checksum-sha256']);
const presignPut = (input: Partial<PutObjectCommandInput>, unhoistableHeaders = UNHOISTED) =>
  getSignedUrl(
    harness.newClient({ requestChecksumCalculation: 'WHEN_REQUIRED' }),
    new PutObjectCommand({ Bucket: BUCKET, Key: 'up', ...input }),
    { expiresIn: 60, unhoistableHeaders },
  );
const outcome = async (response: Response) => {
  const body = await response.text();
  return {
    status: response.status,
    code: /<Code>(\w+)<\/Code>/.exec(body)?.[1],
    message: /<Message>([^<]*)</.exec(body)?.[1],
  };
};
const sha256 = (body: string) => createHash('sha256').update(body).digest('base64');

describe('facts "Presigned URLs die with the credentials that signed them": presigned GET', () => {
  it('reads without credentials, and a Range of it', async () => {
    const url = await presignGet();
    expect(await (await fetch(url)).text()).toBe('content');
    const part = await fetch(url, { headers: { range: 'bytes=0-2' } });
    expect([part.status, await part.text()]).toEqual([206, 'con']);
  });

  it('expires', async () => {
    const url = await presignGet(60);
    harness.clock.skewMs = 59_000 - 1_000;
    expect((await fetch(url)).status).toBe(200);
    harness.clock.skewMs = 62_000;
    expect(await outcome(await fetch(url))).toMatchObject({
      status: 403,
      code: 'AccessDenied',
      message: 'Request has expired',
    });
  });

  it.each([
    ['another key', (url: string) => url.replace('/c?', '/d?')],
    ['a longer life', (url: string) => url.replace('X-Amz-Expires=60', 'X-Amz-Expires=6000')],
    ['another signature', (url: string) => url.replace(/X-Amz-Signature=.{4}/, 'X-Amz-Signature=0000')],
    ['one more parameter', (url: string) => `${url}&response-content-type=text%2Fhtml`],
  ])('refuses %s', async (_, change) => {
    expect(await outcome(await fetch(change(await presignGet())))).toMatchObject({
      status: 403,
      code: 'SignatureDoesNotMatch',
    });
  });

  it('refuses another method, more than seven days, and no signature at all', async () => {
    const url = await presignGet();
    expect(await outcome(await fetch(url, { method: 'DELETE' }))).toMatchObject({ code: 'SignatureDoesNotMatch' });
    const long = url.replace('X-Amz-Expires=60', 'X-Amz-Expires=604801');
    expect(await outcome(await fetch(long))).toMatchObject({ status: 400, code: 'AuthorizationQueryParametersError' });
    expect(await outcome(await fetch(url.split('?')[0] ?? ''))).toMatchObject({ status: 403, code: 'AccessDenied' });
  });

  it('dies with the key that signed it', async () => {
    const url = await presignGet();
    const port = harness.s3.port;
    await harness.restart({ secretAccessKey: 'rotated', port });
    expect(await outcome(await fetch(url))).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
    await harness.restart({ accessKeyId: 'AKIDOTHER', port });
    expect(await outcome(await fetch(url))).toMatchObject({ status: 403, code: 'InvalidAccessKeyId' });
  });
});

describe('architecture §3, row S3: a presigned PUT binds what it signed', () => {
  const headers = (body: string, more: Record<string, string> = {}) => ({
    'x-amz-checksum-sha256': sha256(body),
    'if-none-match': '*',
    ...more,
  });
  const signed = () => presignPut({ ContentLength: 5, ChecksumSHA256: sha256('hello'), IfNoneMatch: '*' });

  it('takes the body it was signed for, once', async () => {
    const url = await signed();
    expect((await fetch(url, { method: 'PUT', body: 'hello', headers: headers('hello') })).status).toBe(200);
    const again = await fetch(url, { method: 'PUT', body: 'hello', headers: headers('hello') });
    expect(await outcome(again)).toMatchObject({ status: 412, code: 'PreconditionFailed' });
  });

  it('refuses another length', async () => {
    const put = await fetch(await signed(), { method: 'PUT', body: 'hello!', headers: headers('hello') });
    expect(await outcome(put)).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
  });

  it('refuses another body of the same length', async () => {
    const put = await fetch(await signed(), { method: 'PUT', body: 'HELLO', headers: headers('hello') });
    expect(await outcome(put)).toMatchObject({ status: 400, code: 'BadDigest' });
    const resigned = await fetch(await signed(), { method: 'PUT', body: 'HELLO', headers: headers('HELLO') });
    expect(await outcome(resigned)).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
  });

  it('refuses the request when a signed header is left out', async () => {
    const put = await fetch(await signed(), {
      method: 'PUT',
      body: 'hello',
      headers: { 'x-amz-checksum-sha256': sha256('hello') },
    });
    expect(await outcome(put)).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
  });

  it('refuses x-amz-* headers that nobody signed', async () => {
    const put = await fetch(await presignPut({}), { method: 'PUT', body: 'hello', headers: { 'x-amz-meta-a': 'b' } });
    expect(await outcome(put)).toMatchObject({ status: 403, code: 'AccessDenied' });
  });

  it('assumption: a checksum hoisted into the query counts like the header', async () => {
    const url = await presignPut({ ChecksumSHA256: sha256('hello') }, new Set());
    expect(new URL(url).searchParams.get('x-amz-checksum-sha256')).toBe(sha256('hello'));
    expect(await outcome(await fetch(url, { method: 'PUT', body: 'HELLO' }))).toMatchObject({ code: 'BadDigest' });
    expect((await fetch(url, { method: 'PUT', body: 'hello' })).status).toBe(200);
  });

  it('wants a Content-Length', async () => {
    const url = new URL(await presignPut({}));
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const put = httpRequest(url, { method: 'PUT', headers: { 'transfer-encoding': 'chunked' } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      put.on('error', reject);
      put.end('hello');
    });
    expect(status).toBe(411);
  });
});

describe('architecture §3, row S3: header signatures', () => {
  const list = (config: object) => harness.newClient(config).send(new ListObjectsV2Command({ Bucket: BUCKET }));

  it('refuses a wrong secret, an unknown key, another region and a session token', async () => {
    expect(await failure(list({ credentials: { ...KEYS, secretAccessKey: 'wrong' } }))).toEqual({
      name: 'SignatureDoesNotMatch',
      status: 403,
    });
    expect(await failure(list({ credentials: { ...KEYS, accessKeyId: 'AKIDNOBODY' } }))).toEqual({
      name: 'InvalidAccessKeyId',
      status: 403,
    });
    expect(await failure(list({ region: 'eu-west-1' }))).toEqual({ name: 'AuthorizationHeaderMalformed', status: 400 });
    expect(await failure(list({ credentials: { ...KEYS, sessionToken: 'x' } }))).toEqual({
      name: 'InvalidToken',
      status: 400,
    });
  });

  it('refuses a clock that is 15 minutes away', async () => {
    harness.clock.skewMs = 16 * 60_000;
    const away = await fetch(`${harness.s3.endpoint}/${BUCKET}?list-type=2`, {
      headers: {
        'x-amz-date': new Date().toISOString().replace(/[-:]|\.\d+/g, ''),
        authorization: `AWS4-HMAC-SHA256 Credential=${KEYS.accessKeyId}/${new Date().toISOString().slice(0, 10).replaceAll('-', '')}/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`,
      },
    });
    expect(await outcome(away)).toMatchObject({ status: 403, code: 'RequestTimeTooSkewed' });
  });
});

describe('architecture §3, row S3: CORS for the page', () => {
  it('lets the village origin read a presigned GET, and nobody else', async () => {
    const url = await presignGet();
    const mine = await fetch(url, { headers: { origin: ORIGIN } });
    expect(mine.headers.get('access-control-allow-origin')).toBe(ORIGIN);
    const other = await fetch(url, { headers: { origin: 'http://evil.example' } });
    expect(other.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('answers preflights for reads only', async () => {
    const url = await presignGet();
    const preflight = (origin: string, method: string) =>
      fetch(url, {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': method, 'access-control-request-headers': 'range' },
      });
    const ok = await preflight(ORIGIN, 'GET');
    expect([ok.status, ok.headers.get('access-control-allow-headers')]).toEqual([200, 'range']);
    expect((await preflight(ORIGIN, 'PUT')).status).toBe(403);
    expect((await preflight('http://evil.example', 'GET')).status).toBe(403);
    harness.s3.setAllowedOrigins(['http://127.0.0.1:5000']);
    expect((await preflight(ORIGIN, 'GET')).status).toBe(403);
  });
});
