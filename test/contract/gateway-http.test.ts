/** The HTTP API as API Gateway behaves with payload format 2.0, and the page beside it on the same origin. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { FUNCTIONS, HTTP_ROUTES } from '../../infra/topology.ts';
import { type GatewayOptions, PortTakenError, startGateway } from '../../local/gateway/server.ts';
import { ManualClock } from '../unit/local/manual-clock.ts';
import { type Handlers, Harness, signal, until } from './gateway-harness.ts';

let harness: Harness | undefined;
const dirs: string[] = [];
const start = async (handlers: Handlers = {}, options: Partial<GatewayOptions> = {}, functions = FUNCTIONS) => {
  const authorize: Handlers = {
    'authorize-http': () => ({ isAuthorized: true, context: { tenantId: 't1', n: 1, deep: { a: [1] } } }),
  };
  harness = await Harness.start({ ...authorize, ...handlers }, { httpRoutes: HTTP_ROUTES, ...options }, functions);
  return harness;
};
afterEach(async () => {
  await harness?.stop();
  harness = undefined;
  await Promise.all(dirs.splice(0).map((dir) => rm(dir, { recursive: true })));
});

/** A request whose path is sent as it is, which fetch would normalise. */
const rawGet = (url: string, path: string): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const { port } = new URL(url);
    httpRequest({ host: '127.0.0.1', port, path }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }));
    })
      .on('error', reject)
      .end();
  });

describe('HTTP API event (payload 2.0)', () => {
  it('carries route, parameters, query, cookies, headers and the authorizer context', async () => {
    const running = await start({ api: (event) => ({ statusCode: 200, body: JSON.stringify(event) }) });
    const url = `${running.gateway.url}/api/sessions/a%20b/events?from=1&tag=x&tag=y`;
    const answer = await fetch(url, { headers: { cookie: 'a=1; b=2', 'X-Mixed': 'v', 'user-agent': 'test/1' } });
    const event = await answer.json();
    expect(event).toMatchObject({
      version: '2.0',
      routeKey: 'GET /api/sessions/{id}/events',
      rawPath: '/api/sessions/a%20b/events',
      rawQueryString: 'from=1&tag=x&tag=y',
      cookies: ['a=1', 'b=2'],
      headers: { 'x-mixed': 'v' },
      queryStringParameters: { from: '1', tag: 'x,y' },
      pathParameters: { id: 'a b' },
      requestContext: {
        authorizer: { lambda: { tenantId: 't1', n: 1, deep: { a: [1] } } },
        http: { method: 'GET', path: '/api/sessions/a%20b/events', sourceIp: '127.0.0.1', userAgent: 'test/1' },
        routeKey: 'GET /api/sessions/{id}/events',
        stage: '$default',
        time: expect.stringMatching(/^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/),
        timeEpoch: expect.any(Number),
      },
      isBase64Encoded: false,
    });
    expect(event.headers).not.toHaveProperty('cookie');
    expect(event).not.toHaveProperty('body');
  });

  it('gives text bodies as they are and others as base64', async () => {
    const running = await start({
      api: ({ body, ...event }) => ({ statusCode: 200, body: JSON.stringify([body, event]) }),
    });
    const post = async (body: BodyInit, type: string) => {
      const answer = await fetch(`${running.gateway.url}/api/sessions`, {
        method: 'POST',
        body,
        headers: { 'content-type': type },
      });
      const [text, event] = await answer.json();
      return [text, event.isBase64Encoded];
    };
    expect(await post('{"a":"ü"}', 'application/json; charset=utf-8')).toEqual(['{"a":"ü"}', false]);
    expect(await post(new Uint8Array([0, 255]), 'application/octet-stream')).toEqual(['AP8=', true]);
  });

  it('carries the headers of the edge, which no client can set', async () => {
    const running = await start(
      { api: ({ headers }) => ({ statusCode: 200, body: headers['x-origin'] ?? '' }) },
      { forcedHeaders: { 'x-origin': 'edge' } },
    );
    const answer = await fetch(`${running.gateway.url}/api/health`, { headers: { 'X-Origin': 'client' } });
    expect(await answer.text()).toBe('edge');
  });
});

describe('HTTP API answer', () => {
  it('sets status, headers, cookies and a base64 body', async () => {
    const running = await start({
      api: () => ({
        statusCode: 201,
        headers: { 'Content-Type': 'image/png', 'X-N': 5 },
        cookies: ['a=1; HttpOnly', 'b=2'],
        body: 'AP8=',
        isBase64Encoded: true,
      }),
    });
    const answer = await fetch(`${running.gateway.url}/api/health`);
    expect(answer.status).toBe(201);
    expect(answer.headers.get('content-type')).toBe('image/png');
    expect(answer.headers.get('x-n')).toBe('5');
    expect(answer.headers.getSetCookie()).toEqual(['a=1; HttpOnly', 'b=2']);
    expect([...new Uint8Array(await answer.arrayBuffer())]).toEqual([0, 255]);
  });

  it('takes an answer without statusCode as the JSON body', async () => {
    const running = await start({ api: () => ({ fine: true }) });
    const answer = await fetch(`${running.gateway.url}/api/health`);
    expect([answer.status, answer.headers.get('content-type'), await answer.json()]).toEqual([
      200,
      'application/json',
      { fine: true },
    ]);
  });

  it.each([
    ['throws', () => Promise.reject(new Error('secret'))],
    ['answers with a status that is none', () => ({ statusCode: 99 })],
    ['answers with a body that is no string', () => ({ statusCode: 200, body: { a: 1 } })],
    ['answers with a header that is none', () => ({ statusCode: 200, headers: { 'x-a': 'a\nb' } })],
  ])('is 500 when the handler %s', async (_what, api) => {
    const running = await start({ api });
    const answer = await fetch(`${running.gateway.url}/api/health`);
    expect([answer.status, await answer.json()]).toEqual([500, { message: 'Internal Server Error' }]);
  });

  it('is 404 for an unknown route, method or missing parameter, 400 for a path that is no encoding', async () => {
    const running = await start({ api: () => ({ statusCode: 200 }) });
    const of = async (path: string, method = 'GET') => {
      const answer = await fetch(`${running.gateway.url}${path}`, { method });
      return [answer.status, (await answer.json()).message];
    };
    expect(await of('/api/none')).toEqual([404, 'Not Found']);
    expect(await of('/api/health', 'DELETE')).toEqual([404, 'Not Found']);
    expect(await of('/api/sessions//events')).toEqual([404, 'Not Found']);
    expect(await of('/api/sessions/%ff')).toEqual([400, 'Bad Request']);
  });

  it('is 413 over 10 MB, announced or not', async () => {
    const running = await start({ api: () => ({ statusCode: 200 }) });
    const big = new Uint8Array(10 * 1024 * 1024 + 1);
    const announced = await fetch(`${running.gateway.url}/api/sessions`, { method: 'POST', body: big });
    expect([announced.status, await announced.json()]).toEqual([413, { message: 'Request Entity Too Large' }]);
    const streamed = new Request(`${running.gateway.url}/api/sessions`, {
      method: 'POST',
      body: new Blob([big]).stream(),
      ...{ duplex: 'half' },
    });
    expect((await fetch(streamed)).status).toBe(413);
    expect(running.events.message).toEqual([]);
  });

  it('is 503 after 30 s, and (assumption) when Lambda has no concurrency left', async () => {
    const clock = new ManualClock();
    const gate = signal<unknown>();
    const functions = FUNCTIONS.map((spec) => (spec.name === 'api' ? { ...spec, reservedConcurrency: 1 } : spec));
    const running = await start({ api: () => gate.promise }, { clock }, functions);
    const late = fetch(`${running.gateway.url}/api/health`);
    await until(() => running.events.message.length === 1, 'invocation');
    const second = await fetch(`${running.gateway.url}/api/health`);
    expect([second.status, await second.json()]).toEqual([503, { message: 'Service Unavailable' }]);
    await clock.advance(30_000);
    const answer = await late;
    expect([answer.status, await answer.json()]).toEqual([503, { message: 'Service Unavailable' }]);
    gate.resolve({ statusCode: 200 });
  });
});

describe('HTTP API authorizer (simple responses)', () => {
  it('is asked on its routes only, without needing an identity, and refuses with 403', async () => {
    const asked: unknown[] = [];
    const running = await start({
      'authorize-http': (event) => {
        asked.push(event);
        return { isAuthorized: false };
      },
      api: () => ({ statusCode: 200 }),
    });
    expect((await fetch(`${running.gateway.url}/api/health`)).status).toBe(200);
    expect(asked).toEqual([]);
    const answer = await fetch(`${running.gateway.url}/api/me`);
    expect([answer.status, await answer.json()]).toEqual([403, { message: 'Forbidden' }]);
    expect(asked[0]).toMatchObject({ version: '2.0', type: 'REQUEST', routeKey: 'GET /api/me' });
    expect(JSON.stringify(asked[0])).toContain('/GET/api/me');
  });

  it('assumption: is 401 for a thrown Unauthorized; and 500 for any other failure or misfit', async () => {
    const running = await start({ api: () => ({ statusCode: 200 }) });
    const statusWith = async (handler: () => unknown) => {
      running.handlers['authorize-http'] = handler;
      return (await fetch(`${running.gateway.url}/api/me`)).status;
    };
    expect(await statusWith(() => Promise.reject(new Error('Unauthorized')))).toBe(401);
    expect(await statusWith(() => Promise.reject(new Error('else')))).toBe(500);
    expect(await statusWith(() => ({ isAuthorized: 'yes' }))).toBe(500);
    expect(await statusWith(() => ({ isAuthorized: true, context: { a: 'x'.repeat(9_000) } }))).toBe(500);
  });
});

describe('the page', () => {
  const site = async () => {
    const outer = await mkdtemp(join(tmpdir(), 'page-'));
    dirs.push(outer);
    const dir = join(outer, 'site');
    await mkdir(join(dir, 'assets'), { recursive: true });
    await writeFile(join(outer, 'secret.txt'), 'secret');
    await writeFile(join(dir, 'index.html'), '<title>village</title>');
    await writeFile(join(dir, '.env'), 'secret');
    await writeFile(join(dir, 'assets/app-1.js'), 'plain');
    await writeFile(join(dir, 'assets/app-1.js.br'), 'packed');
    await symlink(join(outer, 'secret.txt'), join(dir, 'link.txt'));
    return dir;
  };

  it('serves files with strict headers and caches assets for good', async () => {
    const running = await start({}, { pageDir: await site(), connectOrigins: ['http://127.0.0.1:9999'] });
    const page = await fetch(`${running.gateway.url}/`);
    expect(await page.text()).toContain('village');
    expect(page.headers.get('cache-control')).toBe('no-cache');
    const policy = page.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';");
    expect(policy).toContain(
      `connect-src 'self' ws://127.0.0.1:${running.gateway.port} ws://localhost:${running.gateway.port} http://127.0.0.1:9999`,
    );
    expect(policy).toContain("frame-ancestors 'none'");
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    const asset = await fetch(`${running.gateway.url}/assets/app-1.js`, { headers: { 'accept-encoding': 'identity' } });
    expect(await asset.text()).toBe('plain');
    expect(asset.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(asset.headers.get('content-type')).toContain('text/javascript');
    const etag = asset.headers.get('etag') ?? '';
    const again = await fetch(`${running.gateway.url}/assets/app-1.js`, {
      headers: { 'if-none-match': etag, 'accept-encoding': 'identity' },
    });
    expect(again.status).toBe(304);
    const packed = await fetch(`${running.gateway.url}/assets/app-1.js`, {
      method: 'HEAD',
      headers: { 'accept-encoding': 'br' },
    });
    expect(packed.headers.get('content-encoding')).toBe('br');
    expect(packed.headers.get('content-length')).toBe('6');
  });

  it('answers client-side routes with the index, but no missing asset, API path or write', async () => {
    const running = await start({ api: () => ({ statusCode: 200 }) }, { pageDir: await site() });
    const of = async (path: string, method = 'GET') =>
      (await fetch(`${running.gateway.url}${path}`, { method })).status;
    expect(await (await fetch(`${running.gateway.url}/sessions/abc`)).text()).toContain('village');
    expect(await of('/assets/gone.js')).toBe(404);
    expect(await of('/api/none')).toBe(404);
    expect(await of('/ws/none')).toBe(404);
    expect(await of('/', 'POST')).toBe(405);
  });

  it.each([
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/assets/..%2f..%2fsecret.txt',
    '/..%5csecret.txt',
    '/link.txt',
    '/.env',
    '/a%00b',
    '/%ff',
  ])('never leaves its directory: %s', async (path) => {
    const running = await start({}, { pageDir: await site() });
    const answer = await rawGet(running.gateway.url, path);
    expect(answer.body).not.toContain('secret');
    expect([404, 200]).toContain(answer.status);
  });
});

describe('startGateway', () => {
  it('asks the routes of the platform first, and outlives one that fails', async () => {
    const running = await start(
      { api: () => ({ statusCode: 200, body: 'api' }) },
      {
        platformRoutes: (_request, response, path) => {
          if (path === '/local/sync') throw new Error('sync');
          if (path === '/local/async') return Promise.reject(new Error('async'));
          if (path !== '/local/fine') return undefined;
          response.end('platform');
          return Promise.resolve();
        },
      },
    );
    const of = async (path: string) => {
      const answer = await fetch(`${running.gateway.url}${path}`);
      return [answer.status, await answer.text()];
    };
    expect(await of('/local/sync')).toEqual([500, '{"message":"Internal Server Error"}']);
    expect(await of('/local/async')).toEqual([500, '{"message":"Internal Server Error"}']);
    expect(await of('/local/fine')).toEqual([200, 'platform']);
    expect(await of('/api/health')).toEqual([200, 'api']);
    expect(running.logged).toEqual(['request failed in the gateway', 'request failed in the gateway']);
  });

  it('throws PortTakenError when a port is taken, and leaves nothing listening', async () => {
    const running = await start();
    const options = {
      httpRoutes: [],
      webSocketApis: [],
      lambda: running.lambda,
      caller: { accessKeyId: 'a', secretAccessKey: 'b', region: 'c' },
    };
    const taken = startGateway({ ...options, port: running.gateway.port });
    await expect(taken).rejects.toBeInstanceOf(PortTakenError);
    await expect(taken).rejects.toThrow(`Port ${running.gateway.port} of 127.0.0.1 is taken`);
    const other = await startGateway({ ...options, port: 0 });
    await other.stop();
    const second = startGateway({ ...options, port: other.port, managementPort: running.gateway.port });
    await expect(second).rejects.toBeInstanceOf(PortTakenError);
    const free = await startGateway({ ...options, port: other.port });
    await free.stop();
  });
});
