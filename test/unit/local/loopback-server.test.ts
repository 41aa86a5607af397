/** What every emulator relies on: loopback only, a taken port is an error, and stopping does not wait for clients. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { closeServer, listenOnLoopback } from '../../../local/loopback-server.ts';

const servers: Server[] = [];
const newServer = (): Server => {
  const server = createServer();
  servers.push(server);
  return server;
};
afterEach(async () => {
  await Promise.all(servers.splice(0).map(closeServer));
});

it('listens on loopback and says where', async () => {
  const server = newServer();
  const port = await listenOnLoopback(server);
  expect(server.address()).toMatchObject({ address: '127.0.0.1', port } satisfies Partial<AddressInfo>);
  expect(server.listenerCount('error')).toBe(0);
});

it('rejects when the port is taken', async () => {
  const port = await listenOnLoopback(newServer());
  await expect(listenOnLoopback(newServer(), port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
});

it('stops though a client is connected and silent', async () => {
  const server = newServer();
  const port = await listenOnLoopback(server);
  const accepted = once(server, 'connection');
  const client = connect(port, '127.0.0.1');
  // A cut is how it ends.
  client.on('error', () => {});
  const closed = once(client, 'close');
  await accepted;
  await closeServer(server);
  client.destroy();
  await closed;
  expect(server.listening).toBe(false);
});
