/** The line that browser tests cut: it does to a real connection what its name says. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type LineProxy, lineProxy } from '../../fakes/line-proxy.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const portOf = (server: Server): number => {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
};

/** A server that says everything back, and a client that reaches it through the proxy. */
const throughProxy = async (): Promise<{ proxy: LineProxy; dial: () => Promise<Socket> }> => {
  const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  closing.push(async () => echo.close());
  const proxy = await lineProxy();
  closing.push(() => proxy.close());
  const dial = async (): Promise<Socket> => {
    const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1').on('error', () => {});
    closing.push(async () => socket.destroy());
    socket.write(Buffer.from([5, 1, 0]));
    await once(socket, 'data');
    const target = Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, 0, 0]);
    target.writeUInt16BE(portOf(echo), 8);
    socket.write(target);
    await once(socket, 'data');
    return socket;
  };
  return { proxy, dial };
};
const said = async (socket: Socket): Promise<string> => String((await once(socket, 'data'))[0]);

describe('a line through the proxy', () => {
  it('passes what is said, also late and in order', async () => {
    const { proxy, dial } = await throughProxy();
    const socket = await dial();
    socket.write('one');
    expect(await said(socket)).toBe('one');
    proxy.fault({ delayMs: 20 });
    socket.write('two');
    expect(await said(socket)).toBe('two');
  });

  it('ends at once when it is cut', async () => {
    const { proxy, dial } = await throughProxy();
    const socket = await dial();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    expect(proxy.cut()).toBe(1);
    await closed;
  });

  it('stays open and silent when it is stalled, for good; a new one is fine after the fault', async () => {
    const { proxy, dial } = await throughProxy();
    const socket = await dial();
    socket.write('heard');
    await said(socket);
    const before = proxy.received();
    proxy.fault({ stalls: true });
    socket.write('lost');
    const other = dial();
    proxy.fault({});
    const fresh = await other;
    fresh.write('fresh');
    expect(await said(fresh)).toBe('fresh');
    expect(proxy.received()).toBe(before + 'fresh'.length);
    expect(socket.destroyed).toBe(false);
  });

  it('cannot be had while it is refused', async () => {
    const { proxy, dial } = await throughProxy();
    proxy.fault({ refuses: true });
    await expect(
      Promise.race([dial(), new Promise((_, reject) => setTimeout(() => reject(new Error('silent')), 500))]),
    ).rejects.toThrow();
  });
});
