/** facts/aws.md "WebSocket API behaviour", row by row: how connections begin and end; rows that AWS does not document are named as assumptions. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { WEBSOCKET_APIS } from '../../infra/topology.ts';
import { QUOTAS } from '../../local/gateway/quotas.ts';
import type { GatewayOptions } from '../../local/gateway/server.ts';
import { ManualClock } from '../unit/local/manual-clock.ts';
import { API, allow, closed, type Handlers, Harness, nextText, refused, signal, until } from './gateway-harness.ts';

let harness: Harness | undefined;
const start = async (handlers: Handlers = {}, options: Partial<GatewayOptions> = {}) => {
  harness = await Harness.start(handlers, options);
  return harness;
};
afterEach(async () => {
  await harness?.stop();
  harness = undefined;
});

const KIB = 1024;

describe('row "time": idle 10 min, connection 2 h, integration 29 s', () => {
  it('closes after 10 minutes without a message, in either direction', async () => {
    const clock = new ManualClock();
    const running = await start({}, { clock });
    const { socket, id } = await running.open();
    await clock.advance(9 * 60_000);
    socket.send('{}');
    await nextText(socket);
    await clock.advance(9 * 60_000);
    const arrived = nextText(socket);
    await running.post(running.client(), id, 'hi');
    await arrived;
    await clock.advance(9 * 60_000 + 59_000);
    expect(socket.readyState).toBe(socket.OPEN);
    await clock.advance(1_000);
    expect((await closed(socket)).code).toBe(1001);
  });

  it('closes after 2 hours however busy it is', async () => {
    const clock = new ManualClock();
    const { socket } = await (await start({}, { clock })).open();
    for (let minutes = 0; minutes < 119; minutes += 7) {
      await clock.advance(7 * 60_000 - 1);
      socket.send('{}');
      await nextText(socket);
    }
    const end = closed(socket);
    await clock.advance(61_000);
    expect((await end).code).toBe(1001);
  });

  it('gives up on an integration after 29 s; assumption: with an error frame, or 504 for $connect', async () => {
    const clock = new ManualClock();
    const never = signal();
    const running = await start({ 'viewer-frames': () => never.promise }, { clock });
    const { socket, id } = await running.open();
    socket.send('{}');
    await until(() => running.events.message.length === 1, 'invocation');
    const frame = nextText(socket);
    await clock.advance(29_000);
    expect(JSON.parse(await frame)).toMatchObject({ message: 'Endpoint request timed out', connectionId: id });
    running.handlers['viewer-connection'] = () => never.promise;
    const second = refused(running.dial());
    await until(() => running.events.connect.length === 2, '$connect');
    await clock.advance(29_000);
    expect((await second).status).toBe(504);
    never.resolve();
  });
});

describe('row "rates": 500 connections/s; 10,000 requests/s with 5,000 burst over everything', () => {
  it('has these numbers by default', () => {
    expect(QUOTAS).toMatchObject({ connectsPerSecond: 500, requestsPerSecond: 10_000, requestsBurst: 5_000 });
  });

  it('refuses connections beyond the rate with 429', async () => {
    const clock = new ManualClock();
    const running = await start({}, { clock, quotas: { connectsPerSecond: 2 } });
    await running.open();
    await running.open();
    expect((await refused(running.dial())).status).toBe(429);
    await clock.advance(500);
    await running.open();
  });

  it('counts connections, messages and posts together', async () => {
    const clock = new ManualClock();
    const running = await start({}, { clock, quotas: { requestsPerSecond: 2, requestsBurst: 3 } });
    const { socket, id } = await running.open();
    socket.send('{"n":1}');
    expect(await nextText(socket)).toBe('{"n":1}');
    const client = running.client();
    const arrived = nextText(socket);
    await running.post(client, id, 'third');
    await arrived;
    await expect(running.post(client, id, 'fourth')).rejects.toMatchObject({ name: 'LimitExceededException' });
    socket.send('{"n":2}');
    expect(JSON.parse(await nextText(socket))).toMatchObject({ message: 'Too Many Requests', connectionId: id });
    expect((await fetch(`${running.gateway.url}/api/none`)).status).toBe(429);
    await clock.advance(500);
    expect((await fetch(`${running.gateway.url}/api/none`)).status).toBe(404);
  });

  it('answers messages beyond the route throttle with a 429 frame', async () => {
    const throttle = { ratePerSecond: 1, burst: 1 };
    const running = await start({}, { clock: new ManualClock(), webSocketApis: [{ ...API, throttle }] });
    const { socket } = await running.open();
    socket.send('one');
    expect(await nextText(socket)).toBe('one');
    socket.send('two');
    expect(JSON.parse(await nextText(socket)).message).toBe('Too Many Requests');
    expect(running.events.message).toHaveLength(1);
  });
});

describe('row "$connect"', () => {
  it('makes the upgrade wait for the integration', async () => {
    const gate = signal<unknown>();
    const running = await start({ 'viewer-connection': () => gate.promise });
    const socket = running.dial({ protocols: [], headers: { 'Sec-WebSocket-Protocol': 'a' } });
    let opened = false;
    socket.on('open', () => {
      opened = true;
    });
    await until(() => running.events.connect.length === 1, '$connect');
    expect(opened).toBe(false);
    gate.resolve({ statusCode: 200, headers: { 'sec-websocket-protocol': 'a' } });
    await until(() => socket.readyState !== socket.CONNECTING, 'upgrade');
  });

  it('passes a non-2xx answer on', async () => {
    const running = await start({ 'viewer-connection': () => ({ statusCode: 418, body: 'teapot' }) });
    expect(await refused(running.dial())).toEqual({ status: 418, body: 'teapot' });
    expect(running.events.disconnect).toEqual([]);
  });

  it('assumption: a failing Lambda gives 502', async () => {
    const running = await start({
      'viewer-connection': () => {
        throw new Error('broken');
      },
    });
    expect((await refused(running.dial())).status).toBe(502);
    for (const answer of [
      { noStatus: true },
      { statusCode: 200, headers: { 'Sec-WebSocket-Protocol': 'a\r\nX-B: c' } },
    ]) {
      running.handlers['viewer-connection'] = () => answer;
      expect((await refused(running.dial())).status).toBe(502);
    }
  });

  it('echoes a subprotocol only if the answer names it', async () => {
    const running = await start();
    const { socket } = await running.open({ protocols: ['village.viewer.v1', 'ticket.abc'] });
    expect(socket.protocol).toBe('village.viewer.v1');
    running.handlers['viewer-connection'] = () => ({ statusCode: 200 });
    const silent = running.dial({ protocols: ['village.viewer.v1'] });
    const [error] = await once(silent, 'error');
    expect(String(error)).toContain('Server sent no subprotocol');
  });

  it('gets headers with their case, the query and the source of the request', async () => {
    const running = await start();
    await running.open({ path: '/ws/viewer?a=1&a=2', headers: { 'X-Mixed': 'yes', 'User-Agent': 'test/1' } });
    expect(running.events.connect[0]).toMatchObject({
      headers: { 'X-Mixed': 'yes', 'Sec-WebSocket-Protocol': 'village.viewer.v1' },
      queryStringParameters: { a: '2' },
      multiValueQueryStringParameters: { a: ['1', '2'] },
      requestContext: {
        eventType: 'CONNECT',
        routeKey: '$connect',
        stage: 'live',
        apiId: 'viewer',
        identity: { sourceIp: '127.0.0.1', userAgent: 'test/1' },
      },
    });
  });

  it('runs no function for what is no WebSocket handshake, and none for an unknown path', async () => {
    const running = await start();
    expect((await refused(running.dial({ path: '/ws/nowhere' }))).status).toBe(404);
    const plain = await fetch(`${running.gateway.url}/ws/viewer`);
    expect(plain.status).toBe(404);
    const keyless = httpRequest(`${running.gateway.url}/ws/viewer`, {
      headers: {
        connection: 'upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-protocol': 'a',
      },
    });
    const [answer] = await once(keyless.end(), 'response');
    expect(answer.statusCode).toBe(400);
    answer.resume();
    expect(running.events.connect).toEqual([]);
  });
});

describe('row "authorizer"', () => {
  it('answers 401 where the identity source is missing, without asking', async () => {
    const running = await start();
    expect((await refused(running.dial({ protocols: [] }))).status).toBe(401);
    expect(running.events.authorizer).toEqual([]);
  });

  it('answers 401 for Unauthorized, 403 for Deny or no Allow, 500 for anything else', async () => {
    const running = await start();
    const statusWith = async (handler: () => unknown) => {
      running.handlers['authorize-viewer'] = handler;
      return (await refused(running.dial())).status;
    };
    const policy = (Effect: string, Resource: string) => ({
      principalId: 'x',
      policyDocument: { Statement: [{ Action: 'execute-api:Invoke', Effect, Resource }] },
    });
    expect(await statusWith(() => Promise.reject(new Error('Unauthorized')))).toBe(401);
    expect(await statusWith(() => policy('Deny', '*'))).toBe(403);
    expect(await statusWith(() => policy('Allow', 'arn:aws:execute-api:*:*:other/*'))).toBe(403);
    expect(await statusWith(() => Promise.reject(new Error('else')))).toBe(500);
    expect(await statusWith(() => ({ isAuthorized: true }))).toBe(500);
    expect(running.events.connect).toEqual([]);
  });

  it('takes a policy for exactly the methodArn it was given', async () => {
    const running = await start({
      'authorize-viewer': (event) => ({
        principalId: 'x',
        policyDocument: {
          Statement: {
            Action: 'execute-api:*',
            Effect: 'Allow',
            Resource: (event as never as { methodArn: string }).methodArn,
          },
        },
      }),
    });
    await running.open();
  });

  it('assumption: its context, as strings, is handed to $connect and to every later message; it runs once', async () => {
    const running = await start({ 'authorize-viewer': () => allow({ tenantId: 't1', n: 7, admin: true }) });
    const { socket } = await running.open();
    for (const text of ['a', 'b']) {
      socket.send(text);
      await nextText(socket);
    }
    const context = { tenantId: 't1', n: '7', admin: 'true', principalId: 'ann' };
    expect(running.events.connect[0]?.requestContext.authorizer).toEqual(context);
    expect(running.events.message.map((event) => event.requestContext.authorizer)).toEqual([context, context]);
    expect(running.events.authorizer).toHaveLength(1);
  });

  it('refuses a context over 8 KB, and one that is not flat', async () => {
    const running = await start({ 'authorize-viewer': () => allow({ a: 'x'.repeat(8 * KIB - 8) }) });
    await running.open();
    running.handlers['authorize-viewer'] = () => allow({ a: 'x'.repeat(8 * KIB - 7) });
    expect((await refused(running.dial())).status).toBe(500);
    running.handlers['authorize-viewer'] = () => allow({ a: { nested: 1 } });
    expect((await refused(running.dial())).status).toBe(500);
  });
});

describe('row "$disconnect": best effort', () => {
  it('assumption: carries disconnectStatusCode and disconnectReason', async () => {
    const running = await start();
    const { socket, id } = await running.open();
    socket.close(4001, 'done here');
    await until(() => running.events.disconnect.length === 1, '$disconnect');
    expect(running.events.disconnect[0]?.requestContext).toMatchObject({
      connectionId: id,
      eventType: 'DISCONNECT',
      disconnectStatusCode: 4001,
      disconnectReason: 'done here',
    });
    const { socket: broken } = await running.open();
    broken.terminate();
    await until(() => running.events.disconnect.length === 2, 'second $disconnect');
    expect(running.events.disconnect[1]?.requestContext.disconnectStatusCode).toBe(1006);
  });

  it('is tried once, and its failure changes nothing', async () => {
    const running = await start();
    const { socket } = await running.open();
    running.handlers['viewer-connection'] = () => {
      throw new Error('broken');
    };
    socket.close();
    await until(() => running.events.disconnect.length === 1, '$disconnect');
    await running.lambda.idle();
    expect(running.events.disconnect).toHaveLength(1);
    expect((await fetch(`${running.gateway.url}/api/none`)).status).toBe(404);
  });

  it('also follows when the client left while $connect ran', async () => {
    const gate = signal<unknown>();
    const running = await start({
      'viewer-connection': ({ requestContext }) =>
        requestContext.routeKey === '$connect' ? gate.promise : { statusCode: 200 },
    });
    const socket = running.dial();
    await until(() => running.events.connect.length === 1, '$connect');
    socket.terminate();
    gate.resolve({ statusCode: 200 });
    await until(() => running.events.disconnect.length === 1, '$disconnect');
  });

  it('also follows when the gateway stops while $connect runs', async () => {
    const gate = signal<unknown>();
    const running = await start({
      'viewer-connection': ({ requestContext }) =>
        requestContext.routeKey === '$connect' ? gate.promise : { statusCode: 200 },
    });
    const end = expect(closed(running.dial())).rejects.toThrow('hang up');
    await until(() => running.events.connect.length === 1, '$connect');
    const stopping = running.gateway.stop();
    gate.resolve({ statusCode: 200 });
    await stopping;
    await end;
    expect(running.events.disconnect).toHaveLength(1);
  });

  it('closes with 1001 and runs $disconnect when the gateway stops', async () => {
    const running = await start();
    const { socket } = await running.open();
    const end = closed(socket);
    await running.gateway.stop();
    expect((await end).code).toBe(1001);
    expect(running.events.disconnect).toHaveLength(1);
  });
});

describe('the topology', () => {
  it('opens both of its APIs, each with its own authorizer and identity', async () => {
    const running = await start(
      {
        'authorize-runner': () => allow({ runnerId: 'r' }),
        'runner-connection': () => ({ statusCode: 200 }),
        'runner-frames': ({ requestContext }) => ({ statusCode: 200, body: JSON.stringify(requestContext) }),
      },
      { webSocketApis: WEBSOCKET_APIS },
    );
    await running.open();
    expect((await refused(running.dial({ path: '/ws/runner', protocols: [] }))).status).toBe(401);
    const { socket } = await running.open({
      path: '/ws/runner',
      protocols: [],
      headers: { Authorization: 'Bearer t' },
    });
    socket.send('{"type":"hello"}');
    expect(JSON.parse(await nextText(socket))).toMatchObject({
      apiId: 'runner',
      routeKey: '$default',
      eventType: 'MESSAGE',
      authorizer: { runnerId: 'r', principalId: 'ann' },
    });
    expect(Object.keys(running.gateway.managementEndpoints)).toEqual(['viewer', 'runner']);
  });
});
