import { afterEach, describe, expect, it } from 'vitest';
import { FrameMeter } from '../../local/gateway/frame-meter.ts';
import type { GatewayOptions } from '../../local/gateway/server.ts';
import { ManualClock } from '../unit/local/manual-clock.ts';
import { API, closed, type Handlers, Harness, nextText, signal, until } from './gateway-harness.ts';

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
const sendInFrames = (
  socket: { send: (data: string, options: { fin: boolean }) => void },
  text: string,
  size: number,
) => {
  for (let at = 0; at < text.length; at += size)
    socket.send(text.slice(at, at + size), { fin: at + size >= text.length });
};

describe('row "sizes": message 128 KB, frame 32 KB, larger closes with 1009', () => {
  it('takes a frame of exactly 32 KB', async () => {
    const { socket } = await (await start()).open();
    const text = 'x'.repeat(32 * KIB);
    socket.send(text);
    expect(await nextText(socket)).toBe(text);
  });

  it('closes with 1009 on a frame of 32 KB and one byte, without invoking', async () => {
    const { socket } = await (await start()).open();
    socket.send('x'.repeat(32 * KIB + 1));
    expect((await closed(socket)).code).toBe(1009);
    await until(() => harness?.events.disconnect.length === 1, '$disconnect');
    expect(harness?.events.message).toEqual([]);
    expect(harness?.events.disconnect[0]?.requestContext.disconnectStatusCode).toBe(1009);
  });

  it('takes a message of 128 KB in four frames', async () => {
    const { socket } = await (await start()).open();
    const text = 'y'.repeat(128 * KIB);
    sendInFrames(socket, text, 32 * KIB);
    expect((await nextText(socket)).length).toBe(text.length);
  });

  it('closes with 1009 on a message of 128 KB and one byte, whatever its frames', async () => {
    const { socket } = await (await start()).open();
    sendInFrames(socket, 'y'.repeat(128 * KIB + 1), 16 * KIB);
    expect((await closed(socket)).code).toBe(1009);
    await until(() => harness?.events.disconnect.length === 1, '$disconnect');
    expect(harness?.events.disconnect[0]?.requestContext.disconnectStatusCode).toBe(1009);
  });

  it('sends a post of 128 KB as frames of at most 32 KB, and refuses a larger one', async () => {
    const running = await start();
    const { socket, id } = await running.open({});
    const meter = new FrameMeter(32 * KIB);
    let tooLarge = false;
    // @ts-expect-error the socket below is not public, and only it shows frames
    socket._socket.prependListener('data', (chunk: Buffer) => {
      tooLarge ||= meter.exceeds(chunk);
    });
    const client = running.client();
    const arrived = nextText(socket);
    await running.post(client, id, 'z'.repeat(128 * KIB));
    expect((await arrived).length).toBe(128 * KIB);
    expect(tooLarge).toBe(false);
    await expect(running.post(client, id, 'z'.repeat(128 * KIB + 1))).rejects.toMatchObject({
      name: 'PayloadTooLargeException',
      $metadata: { httpStatusCode: 413 },
    });
  });
});

describe('row "route response"', () => {
  it('sends the body back on the same socket, and nothing without a body', async () => {
    const running = await start({
      'viewer-frames': ({ body }) => ({ statusCode: 200, ...(body === 'quiet' ? {} : { body: `re:${body}` }) }),
    });
    const { socket } = await running.open();
    socket.send('quiet');
    await until(() => running.events.message.length === 1, 'first message');
    await running.lambda.idle();
    socket.send('loud');
    expect(await nextText(socket)).toBe('re:loud');
  });

  it('sends nothing where the route has none', async () => {
    const routes = API.routes.map((route) => ({ ...route, routeResponse: false }));
    const running = await start({}, { webSocketApis: [{ ...API, routes }] });
    const { socket, id } = await running.open();
    socket.send('answered');
    await until(() => running.events.message.length === 1, 'message');
    await running.lambda.idle();
    const arrived = nextText(socket);
    await running.post(running.client(), id, 'marker');
    expect(await arrived).toBe('marker');
  });
});

describe('row "binary"', () => {
  it('closes with 1003', async () => {
    const { socket } = await (await start()).open();
    socket.send(Buffer.from([1, 2, 3]));
    expect((await closed(socket)).code).toBe(1003);
    expect(harness?.events.message).toEqual([]);
  });
});

describe('row "routing"', () => {
  const routed = { key: 'ping', function: 'runner-frames', routeResponse: true };
  const frames: Handlers = {
    'runner-frames': ({ requestContext }) => ({ statusCode: 200, body: `ping route ${requestContext.routeKey}` }),
    'viewer-frames': ({ requestContext }) => ({ statusCode: 200, body: `other ${requestContext.routeKey}` }),
  };

  it.each([
    ['{"type":"ping"}', 'ping route ping'],
    ['{"type":"ping2"}', 'other $default'],
    ['{"type":"Ping"}', 'other $default'],
    ['{"type":5}', 'other $default'],
    ['{"type":"$connect"}', 'other $default'],
    ['no json', 'other $default'],
    ['[]', 'other $default'],
  ])('%s goes to: %s', async (text, answer) => {
    const running = await start(frames, { webSocketApis: [{ ...API, routes: [...API.routes, routed] }] });
    const { socket } = await running.open();
    socket.send(text);
    expect(await nextText(socket)).toBe(answer);
  });

  it('assumption: without $default an unmatched message gets the Forbidden frame', async () => {
    const routes = [...API.routes.filter((route) => route.key !== '$default'), routed];
    const running = await start(frames, { webSocketApis: [{ ...API, routes }] });
    const { socket, id } = await running.open();
    socket.send('{"type":"nobody"}');
    const frame = JSON.parse(await nextText(socket));
    expect(frame).toEqual({ message: 'Forbidden', connectionId: id, requestId: expect.any(String) });
  });
});

describe('row "integration error"', () => {
  it('assumption: gives the error frame and leaves the connection open', async () => {
    const running = await start({
      'viewer-frames': ({ body }) => {
        if (body === 'null') return null;
        throw new Error('secret detail');
      },
    });
    const { socket, id } = await running.open();
    for (const text of ['throw', 'null']) {
      socket.send(text);
      expect(JSON.parse(await nextText(socket))).toEqual({
        message: 'Internal server error',
        connectionId: id,
        requestId: expect.any(String),
      });
    }
    expect(socket.readyState).toBe(socket.OPEN);
  });
});

describe('row "order": none promised', () => {
  it('handles the messages of one connection beside each other', async () => {
    const first = signal();
    const running = await start({
      'viewer-frames': async ({ body }) => {
        if (body === 'first') await first.promise;
        return { statusCode: 200, body: `re:${body}` };
      },
    });
    const { socket } = await running.open();
    socket.send('first');
    socket.send('second');
    expect(await nextText(socket)).toBe('re:second');
    first.resolve();
    expect(await nextText(socket)).toBe('re:first');
  });

  it('takes no more of a connection than its cap; the rest waits and nothing is lost', async () => {
    const gate = signal();
    let atOnce = 0;
    let most = 0;
    const running = await start(
      {
        'viewer-frames': async ({ body }) => {
          atOnce += 1;
          most = Math.max(most, atOnce);
          await gate.promise;
          atOnce -= 1;
          return { statusCode: 200, body: body ?? '' };
        },
      },
      { quotas: { messagesInFlightMax: 3 } },
    );
    const { socket } = await running.open();
    const answers: string[] = [];
    socket.on('message', (data) => answers.push(String(data)));
    for (let n = 0; n < 200; n += 1) socket.send(`${n}`);
    await until(() => atOnce === 3, 'three at once');
    gate.resolve();
    await until(() => answers.length === 200, 'all answers');
    expect(most).toBe(3);
    expect(new Set(answers).size).toBe(200);
  });

  it('leaves what is beyond the cap in the client: the gateway stops reading and holds no queue', async () => {
    const gate = signal();
    const running = await start(
      {
        'viewer-frames': async () => {
          await gate.promise;
          return { statusCode: 200, body: 'done' };
        },
      },
      { quotas: { messagesInFlightMax: 2 } },
    );
    const { socket } = await running.open();
    let answers = 0;
    socket.on('message', () => {
      answers += 1;
    });
    // More than the kernel takes between the two.
    const asked = 1_000;
    for (let n = 0; n < asked; n += 1) socket.send('x'.repeat(30_000));
    let bufferedBytes = -1;
    let steadyFor = 0;
    await until(() => {
      steadyFor = socket.bufferedAmount === bufferedBytes ? steadyFor + 1 : 0;
      bufferedBytes = socket.bufferedAmount;
      return steadyFor === 40;
    }, 'the client stops sending');
    expect(bufferedBytes).toBeGreaterThan(5_000_000);
    expect(running.events.message).toHaveLength(2);
    gate.resolve();
    await until(() => answers === asked, 'every answer');
  });
});

describe('row "keep-alive"', () => {
  it('assumption: the gateway sends no ping, answers none, and a ping does not count as activity', async () => {
    const clock = new ManualClock();
    const running = await start({}, { clock });
    const { socket } = await running.open();
    const seen: string[] = [];
    socket.on('ping', () => seen.push('ping'));
    socket.on('pong', () => seen.push('pong'));
    await clock.advance(9 * 60_000);
    socket.ping();
    socket.send('{}');
    await nextText(socket);
    expect(seen).toEqual([]);
    await clock.advance(9 * 60_000);
    const end = closed(socket);
    socket.ping();
    await clock.advance(60_000);
    expect((await end).code).toBe(1001);
  });
});
