import type { Context } from 'aws-lambda';
import { expect, test } from 'vitest';
import { type HttpEvent, httpEntry, route } from '../../../../functions/middleware/http.ts';

const handler = httpEntry(() => ({
  routes: { 'GET /open': route({ run: async () => ({ body: { ok: true } }) }) },
  edgeSecret: async () => 'the-secret-of-the-edge',
}));
const ask = async (headers: Record<string, string>) => {
  const event = { routeKey: 'GET /open', headers, requestContext: {} } as unknown as HttpEvent;
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
