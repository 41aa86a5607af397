/**
 * A line that a test can cut, stall and delay: a SOCKS5 proxy, so that a browser behind it keeps the real address, origin and
 * certificate of what it talks to; or a plain forwarder to one address, for programs that know no proxies.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

export interface LineFault {
  /** Nothing passes in either direction and nobody is told; connections of that time stay dead. */
  readonly stalls?: boolean;
  /** New connections are refused. */
  readonly refuses?: boolean;
  /** Each piece takes this much longer, in both directions, and stays in order. */
  readonly delayMs?: number;
}

export interface LineProxy {
  /** For a browser's proxy setting. */
  readonly url: string;
  readonly port: number;
  /** Holds until the next call; `{}` is a good line. */
  fault(fault: LineFault): void;
  /** Ends every connection with a reset, as a router does that forgot them. Returns how many there were. */
  cut(): number;
  /** Connections that are open now. */
  count(): number;
  /** Bytes that came from servers so far, stalled ones not counted. */
  received(): number;
  close(): Promise<void>;
}

class Line {
  readonly #client: Socket;
  readonly #server: Socket;
  #isDead = false;

  constructor(client: Socket, server: Socket, fault: () => LineFault, onReceived: (sizeBytes: number) => void) {
    this.#client = client;
    this.#server = server;
    this.#pass(client, server, fault, () => {});
    this.#pass(server, client, fault, onReceived);
    for (const [end, other] of [
      [client, server],
      [server, client],
    ] as const) {
      end.on('error', () => end.destroy());
      // A dead line tells nobody of an end either.
      end.once('close', () => this.#isDead || other.destroy());
    }
  }

  stall(): void {
    this.#isDead = true;
  }

  reset(): void {
    this.#isDead = true;
    this.#client.resetAndDestroy();
    this.#server.resetAndDestroy();
  }

  #pass(from: Socket, to: Socket, fault: () => LineFault, onPassed: (sizeBytes: number) => void): void {
    let earlier: Promise<void> = Promise.resolve();
    from.on('data', (data: Buffer) => {
      const { stalls = false, delayMs = 0 } = fault();
      // What it swallowed would be a hole that TCP does not know: the connection never comes back.
      this.#isDead ||= stalls;
      if (this.#isDead) return;
      onPassed(data.length);
      const late = delayMs > 0 ? new Promise<void>((resolve) => setTimeout(resolve, delayMs)) : undefined;
      earlier = earlier.then(async () => {
        await late;
        if (this.#isDead || to.destroyed || to.write(data)) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
    });
    from.once('end', () => void earlier.then(() => this.#isDead || to.end()));
  }
}

/** Reads exactly `sizeBytes`; rejects when the connection ends before. */
const take = async (socket: Socket, sizeBytes: number): Promise<Buffer> => {
  for (;;) {
    const data = socket.read(sizeBytes) as Buffer | null;
    if (data !== null) return data;
    if (socket.readableEnded || socket.destroyed) throw new Error('the connection ended');
    await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
};

/** The SOCKS5 greeting and its CONNECT (RFC 1928), without authentication. */
const targetOf = async (client: Socket): Promise<{ host: string; port: number }> => {
  const [, methods = 0] = await take(client, 2);
  await take(client, methods);
  client.write(Buffer.from([5, 0]));
  const [, , , kind] = await take(client, 4);
  const sizeBytes = kind === 1 ? 4 : kind === 4 ? 16 : ((await take(client, 1))[0] ?? 0);
  const address = await take(client, sizeBytes);
  const port = (await take(client, 2)).readUInt16BE();
  const host = kind === 1 ? address.join('.') : kind === 4 ? '::1' : address.toString('latin1');
  client.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
  return { host, port };
};

export interface LineProxyOptions {
  /** Where every connection goes; without it each says so itself, by SOCKS5. */
  readonly to?: { readonly host: string; readonly port: number };
  /** Address it listens on; the loopback unless told. */
  readonly host?: string;
}

export const lineProxy = async ({ to, host: ownHost = '127.0.0.1' }: LineProxyOptions = {}): Promise<LineProxy> => {
  let now: LineFault = {};
  let receivedBytes = 0;
  const lines = new Set<Line>();
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.once('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    keep(client);
    if (now.refuses === true) {
      client.resetAndDestroy();
      return;
    }
    (to === undefined ? targetOf(client) : Promise.resolve(to)).then(
      ({ host, port }) => {
        const target = keep(connect({ host, port, allowHalfOpen: true }));
        const line = new Line(
          client,
          target,
          () => now,
          (sizeBytes) => {
            receivedBytes += sizeBytes;
          },
        );
        lines.add(line);
        client.once('close', () => lines.delete(line));
      },
      () => client.destroy(),
    );
  });
  server.listen(0, ownHost);
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return {
    url: `socks5://${ownHost}:${address.port}`,
    port: address.port,
    fault: (fault) => {
      now = fault;
      if (fault.stalls === true) for (const line of lines) line.stall();
    },
    cut: () => {
      const count = lines.size;
      for (const line of lines) line.reset();
      lines.clear();
      return count;
    },
    count: () => lines.size,
    received: () => receivedBytes,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
};
