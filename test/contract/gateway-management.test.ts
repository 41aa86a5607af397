/** facts/aws.md row "posting" and "SDK v3 on the wire", through the real SDK client; then the chaos switch on real sockets. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import {
  DeleteConnectionCommand,
  ForbiddenException,
  GetConnectionCommand,
  GoneException,
  LimitExceededException,
} from '@aws-sdk/client-apigatewaymanagementapi';
import { afterEach, describe, expect, it } from 'vitest';
import { managementSender } from '../../functions/aws/management-sender.ts';
import { CALM, type ChaosSettings, createChaos } from '../../local/chaos.ts';
import type { GatewayOptions } from '../../local/gateway/server.ts';
import { ManualClock } from '../unit/local/manual-clock.ts';
import { closed, type Handlers, Harness, nextText, signal, until } from './gateway-harness.ts';

let harness: Harness | undefined;
const start = async (handlers: Handlers = {}, options: Partial<GatewayOptions> = {}) => {
  harness = await Harness.start(handlers, options);
  return harness;
};
afterEach(async () => {
  await harness?.stop();
  harness = undefined;
});

describe('row "posting"', () => {
  it('delivers to an open connection, whose id has to be percent-encoded', async () => {
    const running = await start();
    const { socket, id } = await running.open();
    expect(id).toMatch(/=$/);
    const arrived = nextText(socket);
    const result = await running.post(running.client(), id, 'grüße');
    expect(result.$metadata.httpStatusCode).toBe(200);
    expect(await arrived).toBe('grüße');
  });

  it('takes what the control plane itself signs', async () => {
    const running = await start();
    const { socket, id } = await running.open();
    const arrived = nextText(socket);
    expect(await managementSender(running.client()).post(id, { type: 'grüße' })).toBe('sent');
    expect(JSON.parse(await arrived)).toEqual({ type: 'grüße' });
  });

  it('answers 410 GoneException once the connection is closed, and for ids that never were', async () => {
    const running = await start();
    const { socket, id } = await running.open();
    socket.close();
    await until(() => running.events.disconnect.length === 1, '$disconnect');
    const client = running.client();
    await expect(running.post(client, id, 'x')).rejects.toBeInstanceOf(GoneException);
    await expect(running.post(client, 'bm9ib2R5=', 'x')).rejects.toBeInstanceOf(GoneException);
  });

  it('answers 410 also before $connect has returned', async () => {
    const gate = signal<unknown>();
    const running = await start({ 'viewer-connection': () => gate.promise });
    const socket = running.dial();
    await until(() => running.events.connect.length === 1, '$connect');
    const id = running.events.connect[0]?.requestContext.connectionId ?? '';
    await expect(running.post(running.client(), id, 'x')).rejects.toBeInstanceOf(GoneException);
    gate.resolve({ statusCode: 200, headers: { 'Sec-WebSocket-Protocol': 'village.viewer.v1' } });
    await once(socket, 'open');
    const arrived = nextText(socket);
    await running.post(running.client(), id, 'now');
    expect(await arrived).toBe('now');
  });

  it('answers 403 ForbiddenException for another stage or API, and asks for a signature', async () => {
    const running = await start();
    const { id } = await running.open();
    const endpoint = running.gateway.managementEndpoints.viewer ?? '';
    const status = async (url: string, headers: Record<string, string>) => {
      const answer = await fetch(`${url}/@connections/${encodeURIComponent(id)}`, {
        method: 'POST',
        body: 'x',
        headers,
      });
      return [answer.status, answer.headers.get('x-amzn-errortype')];
    };
    const signed = { authorization: 'AWS4-HMAC-SHA256 whatever' };
    expect(await status(endpoint, {})).toEqual([403, 'MissingAuthenticationTokenException']);
    expect(await status(endpoint, signed)).toEqual([403, 'InvalidSignatureException']);
    expect(await status(endpoint.replace('/live', '/other'), signed)).toEqual([403, 'ForbiddenException']);
    expect(await status(endpoint.replace('/viewer', '/runner'), signed)).toEqual([403, 'ForbiddenException']);
    const stranger = running.client({ accessKeyId: 'local', secretAccessKey: 'guessed' });
    await expect(running.post(stranger, id, 'x')).rejects.toMatchObject({ name: 'InvalidSignatureException' });
    const unknown = running.client({ accessKeyId: 'other', secretAccessKey: 'local' });
    await expect(running.post(unknown, id, 'x')).rejects.toMatchObject({ name: 'UnrecognizedClientException' });
    const other = running.client();
    other.config.endpoint = async () => {
      const url = new URL(endpoint.replace('/live', '/other'));
      return { protocol: url.protocol, hostname: url.hostname, port: Number(url.port), path: url.pathname };
    };
    await expect(running.post(other, id, 'x')).rejects.toBeInstanceOf(ForbiddenException);
  });

  it('answers 429 LimitExceededException when the client does not read, and goes on when it does', async () => {
    const running = await start({}, { quotas: { sendBufferMaxBytes: 256 * 1024 } });
    const { socket, id } = await running.open();
    const client = running.client();
    socket.pause();
    let posted = 0;
    const flood = async () => {
      // The kernel's socket buffers take some megabytes before the gateway's own buffer grows.
      for (; posted < 500; posted += 1) await running.post(client, id, 'x'.repeat(100_000));
    };
    await expect(flood()).rejects.toBeInstanceOf(LimitExceededException);
    let received = 0;
    socket.on('message', () => {
      received += 1;
    });
    socket.resume();
    await until(() => received === posted, 'everything accepted arrives');
    const before = received;
    await running.post(client, id, 'again');
    await until(() => received === before + 1, 'the next post');
  });

  it('does not read from a client that does not take its answers', async () => {
    const running = await start(
      { 'viewer-frames': () => ({ statusCode: 200, body: 'y'.repeat(120_000) }) },
      { quotas: { sendBufferMaxBytes: 1024 * 1024, messagesInFlightMax: 2 } },
    );
    const { socket } = await running.open();
    socket.pause();
    const asked = 300;
    for (let n = 0; n < asked; n += 1) socket.send('x'.repeat(1_000));
    await until(() => running.events.message.length > 2, 'some messages');
    let last = -1;
    await until(() => {
      const steady = running.events.message.length === last;
      last = running.events.message.length;
      return steady && last < asked;
    }, 'the gateway stops reading');
    let answers = 0;
    socket.on('message', () => {
      answers += 1;
    });
    socket.resume();
    await until(() => answers === asked, 'every answer');
    expect(running.logged).toEqual([]);
  });
});

describe('SDK v3 on the wire', () => {
  it('GET describes the connection', async () => {
    const clock = new ManualClock(Date.parse('2026-03-01T10:00:00Z'));
    const running = await start({}, { clock });
    const { socket, id } = await running.open({ headers: { 'User-Agent': 'test/1' } });
    await clock.advance(5_000);
    socket.send('{}');
    await nextText(socket);
    const found = await running.client().send(new GetConnectionCommand({ ConnectionId: id }));
    expect(found.ConnectedAt).toEqual(new Date('2026-03-01T10:00:00Z'));
    expect(found.LastActiveAt).toEqual(new Date('2026-03-01T10:00:05Z'));
    expect(found.Identity).toEqual({ SourceIp: '127.0.0.1', UserAgent: 'test/1' });
  });

  it('DELETE closes it, after which it is gone', async () => {
    const running = await start();
    const { socket, id } = await running.open();
    const end = closed(socket);
    const client = running.client();
    const result = await client.send(new DeleteConnectionCommand({ ConnectionId: id }));
    expect(result.$metadata.httpStatusCode).toBe(204);
    expect((await end).code).toBe(1000);
    await expect(client.send(new DeleteConnectionCommand({ ConnectionId: id }))).rejects.toBeInstanceOf(GoneException);
    await expect(client.send(new GetConnectionCommand({ ConnectionId: id }))).rejects.toBeInstanceOf(GoneException);
  });

  it('DELETE also ends a connection that is not read from, because its messages are still being handled', async () => {
    const gate = signal<unknown>();
    const running = await start({ 'viewer-frames': () => gate.promise }, { quotas: { messagesInFlightMax: 1 } });
    const { socket, id } = await running.open();
    socket.send('a');
    await until(() => running.events.message.length === 1, 'message');
    const end = closed(socket);
    await running.client().send(new DeleteConnectionCommand({ ConnectionId: id }));
    expect((await end).code).toBe(1000);
    await until(() => running.events.disconnect.length === 1, '$disconnect');
    gate.resolve({ statusCode: 200, body: 'too late' });
  });

  it('survives callers that vanish in the middle of a post', async () => {
    const running = await start();
    const { socket, id } = await running.open();
    const url = new URL(`${running.gateway.managementEndpoints.viewer}/@connections/${encodeURIComponent(id)}`);
    const half = httpRequest(url, { method: 'POST', headers: { authorization: 'x', 'content-length': '10' } });
    half.on('error', () => {});
    await new Promise<void>((resolve) => half.write('half', () => resolve()));
    half.destroy();
    const raw = connect(Number(url.port), '127.0.0.1');
    raw.on('error', () => {});
    raw.resume();
    raw.end('not http at all\r\n\r\n');
    await once(raw, 'close');
    const arrived = nextText(socket);
    await running.post(running.client(), id, 'fine');
    expect(await arrived).toBe('fine');
  });
});

describe('chaos', () => {
  const chaos = (over: Partial<ChaosSettings>) => ({ chaos: createChaos({ ...CALM, seed: 7, ...over }) });

  it('duplicate: the Lambda runs twice and both answers arrive; a post arrives twice', async () => {
    const running = await start({}, chaos({ duplicate: 1 }));
    const { socket, id } = await running.open();
    const seen: string[] = [];
    socket.on('message', (data) => seen.push(String(data)));
    socket.send('a');
    await until(() => seen.length === 2, 'both answers');
    expect(running.events.message).toHaveLength(2);
    await running.post(running.client(), id, 'p');
    await until(() => seen.length === 4, 'both posts');
    expect(seen).toEqual(['a', 'a', 'p', 'p']);
  });

  it('reorder: later messages and posts overtake earlier ones, and none is lost', async () => {
    const running = await start({}, chaos({ reorder: 0.5 }));
    const { socket, id } = await running.open();
    const seen: string[] = [];
    socket.on('message', (data) => seen.push(String(data)));
    const sent = Array.from({ length: 30 }, (_, n) => `m${n}`);
    for (const text of sent) socket.send(text);
    await until(() => seen.length === 30, 'all answers');
    expect(seen).not.toEqual(sent);
    expect(seen.toSorted()).toEqual(sent.toSorted());
    seen.length = 0;
    const client = running.client();
    for (const text of sent) await running.post(client, id, text);
    await until(() => seen.length === 30, 'all posts');
    expect(seen).not.toEqual(sent);
    expect(seen.toSorted()).toEqual(sent.toSorted());
  });

  it('drop: messages and posts vanish without an error', async () => {
    const running = await start({}, chaos({ drop: 1 }));
    const { socket, id } = await running.open();
    const seen: string[] = [];
    socket.on('message', (data) => seen.push(String(data)));
    socket.send('a');
    await running.post(running.client(), id, 'p');
    socket.close();
    await closed(socket);
    expect([running.events.message, seen]).toEqual([[], []]);
  });

  it('throttle: 429 frame and LimitExceededException', async () => {
    const running = await start({}, chaos({ throttle: 1 }));
    const { socket, id } = await running.open();
    socket.send('a');
    expect(JSON.parse(await nextText(socket)).message).toBe('Too Many Requests');
    await expect(running.post(running.client(), id, 'p')).rejects.toBeInstanceOf(LimitExceededException);
  });

  it('cut: the socket breaks while its message is handled', async () => {
    const running = await start({}, chaos({ cut: 1 }));
    const { socket } = await running.open();
    socket.send('a');
    expect((await closed(socket)).code).toBe(1006);
    await until(() => running.events.disconnect.length === 1, '$disconnect');
    expect(running.events.message).toHaveLength(1);
  });
});
