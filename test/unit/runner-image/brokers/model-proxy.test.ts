import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { closeServer, listenOnLoopback } from '../../../../runner-image/src/brokers/loopback-http.ts';
import {
  type ModelProxy,
  startModelProxy,
  upstreamUrl,
} from '../../../../runner-image/src/brokers/model-proxy/model-proxy.ts';

const REAL = 'sk-real-key';
const DUMMY = 'dummy-key';
type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let upstream: string;
let seen: IncomingMessage[];
let handler: Handler;
let proxy: ModelProxy | undefined;

beforeEach(async () => {
  seen = [];
  handler = (request, response) => request.pipe(response);
  server = createServer((request, response) => {
    seen.push(request);
    handler(request, response);
  });
  upstream = await listenOnLoopback(server);
});
afterEach(async () => {
  await proxy?.stop();
  await closeServer(server);
});

const start = async (over: Partial<Parameters<typeof startModelProxy>[0]> = {}) => {
  proxy = await startModelProxy({ upstream, realKey: async () => REAL, dummyKey: DUMMY, ...over });
  return proxy.url;
};
const post = (url: string, init: RequestInit & { duplex?: 'half' } = {}, path = '/v1/messages?beta=true') =>
  fetch(url + path, {
    method: 'POST',
    headers: { 'x-api-key': DUMMY, 'content-type': 'application/json', cookie: 'c=1' },
    body: '{"a":1}',
    ...init,
  });

describe('the model proxy', () => {
  it('lets no call out while the session is held, and says so as the vendor does', async () => {
    let isHeld = true;
    const url = await start({ isHeld: () => isHeld });
    const held = await post(url);
    expect([held.status, await held.json()]).toMatchObject([529, { error: { type: 'overloaded_error' } }]);
    expect(seen).toEqual([]);
    isHeld = false;
    expect((await post(url)).status).toBe(200);
  });

  it('listens where the one before it did, and not where somebody else does', async () => {
    const first = await start();
    const port = Number(new URL(first).port);
    await expect(startModelProxy({ upstream, realKey: async () => REAL, dummyKey: DUMMY, port })).rejects.toMatchObject(
      {
        code: 'EADDRINUSE',
      },
    );
    await proxy?.stop();
    expect(await start({ port })).toBe(first);
    expect((await post(first)).status).toBe(200);
  });

  it('swaps the key and passes body, status and chosen headers on', async () => {
    handler = (request, response) => {
      response.writeHead(429, { 'retry-after': '7', 'set-cookie': 'x=1', 'content-type': 'application/json' });
      request.pipe(response);
    };
    const response = await post(await start());
    expect([response.status, await response.text()]).toEqual([429, '{"a":1}']);
    expect([response.headers.get('retry-after'), response.headers.get('set-cookie')]).toEqual(['7', null]);
    expect(seen[0]?.url).toBe('/v1/messages?beta=true');
    expect(seen[0]?.headers).toMatchObject({ 'x-api-key': REAL, 'content-type': 'application/json' });
    expect(seen[0]?.headers).not.toHaveProperty('cookie');
    expect(JSON.stringify(seen[0]?.rawHeaders)).not.toContain(DUMMY);
  });

  it('streams: the first piece arrives while the upstream still writes', async () => {
    let finish = () => {};
    handler = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('one');
      finish = () => response.end('two');
    };
    const response = await post(await start());
    const reader = response.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('one');
    finish();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe('two');
  });

  it('refuses a wrong key and everything off the list without a word to the upstream', async () => {
    const url = await start();
    expect((await post(url, { headers: { 'x-api-key': REAL } })).status).toBe(401);
    for (const path of [
      '/v1/files',
      '/v1/messages/batches',
      '/v1/messages/../files',
      '//evil/v1/messages',
      '/v1/messages%2fbatches',
    ]) {
      expect((await post(url, {}, path)).status).toBe(404);
    }
    expect((await fetch(`${url}/v1/messages`, { headers: { 'x-api-key': DUMMY } })).status).toBe(404);
    expect((await fetch(url, { method: 'HEAD' })).status).toBe(200);
    expect(seen).toHaveLength(0);
  });

  it('caps the request, with and without a declared length', async () => {
    const url = await start({ limits: { requestMaxBytes: 100 } });
    expect((await post(url, { body: 'x'.repeat(101) })).status).toBe(413);
    const body = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 3; i += 1) controller.enqueue(Buffer.alloc(50));
        controller.close();
      },
    });
    expect((await post(url, { body, duplex: 'half' })).status).toBe(413);
    expect((await post(url, { body: 'x'.repeat(100) })).status).toBe(200);
  });

  it('cuts an answer that is too long or ends early, so that it cannot look complete', async () => {
    handler = (_request, response) => response.writeHead(200).end('y'.repeat(101));
    const url = await start({ limits: { responseMaxBytes: 100 } });
    await expect(post(url).then((response) => response.text())).rejects.toThrow();
    handler = (_request, response) => {
      response.writeHead(200).write('half');
      setImmediate(() => response.destroy());
    };
    await expect(post(url).then((response) => response.text())).rejects.toThrow();
  });

  it('gives a silent upstream up', async () => {
    handler = () => undefined;
    const response = await post(await start({ limits: { idleTimeoutMs: 30 } }));
    expect([response.status, await response.json()]).toEqual([
      504,
      expect.objectContaining({ error: expect.objectContaining({ type: 'timeout_error' }) }),
    ]);
  });

  it('says that the upstream cannot be reached, and hangs up on it when the CLI goes', async () => {
    const gone = Promise.withResolvers<void>();
    handler = (request) => request.once('close', gone.resolve);
    const url = await start();
    const hangUp = new AbortController();
    const call = post(url, { signal: hangUp.signal });
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    hangUp.abort();
    await expect(call).rejects.toThrow();
    await gone.promise;
    await closeServer(server);
    expect((await post(url)).status).toBe(502);
  });

  it('caps the calls at once, and frees the place of one that ended', async () => {
    const held: ServerResponse[] = [];
    handler = (_request, response) => held.push(response);
    const url = await start({ limits: { callsMax: 1 } });
    const first = post(url);
    await vi.waitFor(() => expect(held).toHaveLength(1));
    expect((await post(url)).status).toBe(529);
    held[0]?.end();
    await (await first).text();
    handler = (_request, response) => response.end('ok');
    await vi.waitFor(async () => expect((await post(url)).status).toBe(200));
  });

  it('tells nothing about the key when it cannot be fetched or is no header value', async () => {
    const broken = await start({ realKey: () => Promise.reject(new Error('vault says sk-real-key')) });
    const response = await post(broken);
    expect([response.status, await response.text()]).toEqual([500, expect.not.stringContaining('sk-real')]);
    await proxy?.stop();
    expect((await post(await start({ realKey: async () => 'bad\nkey' }))).status).toBe(500);
  });

  it('keeps the base path of a gateway and drops unknown parameters', () => {
    expect(upstreamUrl('https://gw.test/base/', 'POST', '/v1/messages?beta=true&x=1')?.href).toBe(
      'https://gw.test/base/v1/messages?beta=true',
    );
    expect(upstreamUrl('https://gw.test', 'GET', '/v1/models?limit=2')?.href).toBe('https://gw.test/v1/models?limit=2');
    expect(upstreamUrl('https://gw.test', 'DELETE', '/v1/messages')).toBeUndefined();
  });
});
