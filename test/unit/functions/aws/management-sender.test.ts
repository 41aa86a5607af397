import { createServer, type IncomingMessage, type Server } from 'node:http';
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';
import { afterEach, describe, expect, it } from 'vitest';
import { managementSender } from '../../../../functions/aws/management-sender.ts';

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly port: number | undefined;
}

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

/** `cuts` counts down: so many requests are answered with a reset of their connection. */
const listen = async (status: () => number, cuts = { left: 0 }) => {
  const seen: Seen[] = [];
  const made = createServer((request, response) => {
    if (cuts.left > 0) {
      cuts.left -= 1;
      request.socket.resetAndDestroy();
      return;
    }
    let body = '';
    request.on('data', (part: Buffer) => {
      body += part;
    });
    request.on('end', () => {
      const { method, url, headers } = request;
      seen.push({ method, url, headers, body, port: request.socket.remotePort });
      response.writeHead(status(), { 'x-amzn-errortype': 'SomeException' }).end('{"message":"x"}');
    });
  });
  server = made;
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  const address = made.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { seen, endpoint: `http://127.0.0.1:${address.port}/viewer/live`, host: `127.0.0.1:${address.port}` };
};
const credentials = { accessKeyId: 'AKID', secretAccessKey: 'secret', sessionToken: 'token/+=' };
const clientOf = (endpoint: string) =>
  new ApiGatewayManagementApiClient({ endpoint, region: 'eu-central-1', credentials, maxAttempts: 1 });
const at = (seen: readonly Seen[], index: number): Seen => {
  const one = seen[index];
  if (one === undefined) throw new Error(`no request ${index}`);
  return one;
};

describe('managementSender', () => {
  it('sends what the SDK sends: method, path and body', async () => {
    const { seen, endpoint } = await listen(() => 200);
    const client = clientOf(endpoint);
    const frame = { type: 'pong', ts: 1, heads: ['grüße'] };
    expect(await managementSender<typeof frame>(client).post('L0SM9c+/=', frame)).toBe('sent');
    await client.send(new PostToConnectionCommand({ ConnectionId: 'L0SM9c+/=', Data: JSON.stringify(frame) }));
    const [ours, theirs] = [at(seen, 0), at(seen, 1)];
    expect([ours.method, ours.url, ours.body]).toEqual([theirs.method, theirs.url, theirs.body]);
    expect(ours.headers['x-amz-security-token']).toBe(credentials.sessionToken);
  });

  it('signs as the client would sign the same request', async () => {
    const { seen, endpoint, host } = await listen(() => 200);
    const client = clientOf(endpoint);
    await managementSender<object>(client).post("a(b)'!*c+/=", { a: 1 });
    const { headers: sent, url = '' } = at(seen, 0);
    const { authorization, ...headers }: Record<string, unknown> = { ...sent };
    const signedNames = /SignedHeaders=([^,]+)/.exec(String(authorization))?.[1]?.split(';') ?? [];
    const signedHeaders = signedNames.map((name): [string, string] => [name, String(headers[name])]);
    const signer = await client.config.signer({
      name: 'sigv4',
      signingName: 'execute-api',
      signingRegion: 'eu-central-1',
      properties: {},
    });
    const date = String(headers['x-amz-date']).replace(
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/,
      '$1-$2-$3T$4:$5:$6Z',
    );
    const [hostname = '', port] = host.split(':');
    const request = {
      method: 'POST',
      protocol: 'http:',
      hostname,
      port: Number(port),
      path: url,
      query: {},
      body: '{"a":1}',
    };
    const again = await signer.sign(
      { ...request, headers: Object.fromEntries(signedHeaders) },
      { signingDate: new Date(date) },
    );
    expect(signedNames).toEqual(expect.arrayContaining(['host', 'x-amz-date', 'x-amz-content-sha256']));
    expect(authorization).toBe(again.headers.authorization);
  });

  it.each([
    [410, 'gone'],
    [429, 'slow'],
    [500, 'slow'],
    [503, 'slow'],
    [413, 'too_large'],
  ])('reads %i as %s', async (status, result) => {
    const { endpoint } = await listen(() => status);
    expect(await managementSender<object>(clientOf(endpoint)).post('id', {})).toBe(result);
  });

  it('throws on an answer that is none of these', async () => {
    const { endpoint } = await listen(() => 403);
    await expect(managementSender<object>(clientOf(endpoint)).post('id', {})).rejects.toThrow('403 SomeException');
  });

  it.each([
    // Within what we refresh: each post asks.
    [4 * 60_000, true],
    [60 * 60_000, false],
  ])('asks again for credentials that end in %i ms: %s', async (leftMs, isAskedAgain) => {
    const { seen, endpoint } = await listen(() => 200);
    let asked = 0;
    const expiring = async () => {
      asked += 1;
      return { ...credentials, accessKeyId: `AKID${asked}`, expiration: new Date(Date.now() + leftMs) };
    };
    const client = new ApiGatewayManagementApiClient({ endpoint, region: 'eu-central-1', credentials: expiring });
    const sender = managementSender<object>(client);
    await sender.post('id', {});
    await sender.post('id', {});
    const [first, second] = seen.map(({ headers }) => /AKID\d/.exec(String(headers.authorization))?.[0]);
    expect(first).toMatch('AKID');
    expect(first !== second).toBe(isAskedAgain);
  });

  it('throws when nobody listens', async () => {
    const { endpoint } = await listen(() => 200);
    await new Promise((resolve) => server?.close(resolve));
    await expect(managementSender<object>(clientOf(endpoint)).post('id', {})).rejects.toThrow('ECONNREFUSED');
  });

  it('uses its socket again', async () => {
    const { seen, endpoint } = await listen(() => 200);
    const sender = managementSender<object>(clientOf(endpoint));
    expect(await sender.post('id', { n: 1 })).toBe('sent');
    expect(await sender.post('id', { n: 2 })).toBe('sent');
    expect(at(seen, 1).port).toBe(at(seen, 0).port);
  });

  it('sends once more when a kept socket turns out to be closed, and gives up on a fresh one', async () => {
    const cuts = { left: 0 };
    const { seen, endpoint } = await listen(() => 200, cuts);
    const sender = managementSender<object>(clientOf(endpoint));
    await sender.post('id', { n: 1 });
    cuts.left = 1;
    expect(await sender.post('id', { n: 2 })).toBe('sent');
    expect(seen.map(({ body }) => body)).toEqual(['{"n":1}', '{"n":2}']);
    expect(at(seen, 1).port).not.toBe(at(seen, 0).port);
    cuts.left = 2;
    await expect(sender.post('id', { n: 3 })).rejects.toThrow('ECONNRESET');
    expect(cuts.left).toBe(0);
  });
});
