import type { Context } from 'aws-lambda';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { type HttpEvent, httpEntry, route } from '../../../../functions/middleware/http.ts';

const handler = httpEntry(() => ({
  routes: Object.fromEntries(
    ['GET /open', 'POST /open', 'POST /mine'].map((key) => [key, route({ run: async () => ({ body: { ok: true } }) })]),
  ),
  allowedOrigins: ['https://village.test'],
  edgeSecret: async () => 'the-secret-of-the-edge',
}));
const ask = async (headers: Record<string, string>) => {
  const event = { routeKey: 'GET /open', headers, requestContext: { http: { method: 'GET' } } } as unknown as HttpEvent;
  const context = { awsRequestId: 'r1', functionName: 'api' } as Context;
  return handler(event, context, () => {});
};

test.each([
  ['nothing', {}, 403],
  ['another secret', { 'x-origin-secret': 'the-secret-of-the-edgf' }, 403],
  ['a longer one', { 'x-origin-secret': 'the-secret-of-the-edge ' }, 403],
  ['the secret of the edge', { 'X-Origin-Secret': 'the-secret-of-the-edge' }, 200],
])('a route without authorizer that is asked with %s', async (_, headers: Record<string, string>, statusCode) => {
  expect(await ask(headers)).toMatchObject({ statusCode });
});

const OURS = { origin: 'https://village.test' };
const EVIL = { origin: 'https://evil.test' };
const JSON_BODY = { 'content-type': 'application/json; charset=utf-8' };
type Caller = 'browser' | 'cli' | 'nobody';

/** A body goes along with every request whose headers say what it is. */
const send = async (method: string, client: Caller, headers: Record<string, string>) => {
  const authorizer = client === 'nobody' ? undefined : { lambda: { client } };
  const event = {
    routeKey: `${method} ${client === 'nobody' || method === 'GET' ? '/open' : '/mine'}`,
    headers: { 'x-origin-secret': 'the-secret-of-the-edge', ...headers },
    requestContext: { http: { method }, ...(authorizer === undefined ? {} : { authorizer }) },
    ...('content-type' in headers ? { body: '{}' } : {}),
  } as unknown as HttpEvent;
  const context = { awsRequestId: 'r1', functionName: 'api' } as Context;
  const { statusCode, body } = z
    .object({ statusCode: z.number(), body: z.string() })
    .parse(await handler(event, context, () => {}));
  const code: unknown = JSON.parse(body).code;
  return code ?? statusCode;
};

test.each<[Caller, Record<string, string>, unknown]>([
  ['browser', { ...OURS, ...JSON_BODY }, 200],
  ['browser', { Origin: 'https://village.test' }, 200],
  ['browser', { 'sec-fetch-site': 'same-origin' }, 200],
  ['browser', {}, 'origin_not_allowed'],
  ['browser', { 'sec-fetch-site': 'same-site' }, 'origin_not_allowed'],
  ['browser', { ...EVIL, ...JSON_BODY }, 'origin_not_allowed'],
  ['browser', { ...EVIL, 'sec-fetch-site': 'same-origin' }, 'origin_not_allowed'],
  ['browser', { origin: 'null' }, 'origin_not_allowed'],
  ['browser', { ...OURS, 'content-type': 'text/plain' }, 'invalid_request'],
  ['browser', { ...OURS, 'content-type': 'application/jsonp' }, 'invalid_request'],
  ['cli', {}, 200],
  ['cli', { 'content-type': 'text/plain' }, 200],
  ['nobody', {}, 200],
  ['nobody', { ...OURS, ...JSON_BODY }, 200],
  ['nobody', EVIL, 'origin_not_allowed'],
  ['nobody', { ...OURS, 'content-type': 'text/plain' }, 'invalid_request'],
])('a POST by %s with %o', async (client, headers, result) => {
  expect(await send('POST', client, headers)).toBe(result);
});

test('reading needs no origin', async () => {
  expect(await send('GET', 'browser', {})).toBe(200);
  expect(await send('GET', 'browser', EVIL)).toBe(200);
});
