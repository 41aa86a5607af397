/** Says on loopback whether the runner lives and whether it has work; for a container's health check and for people. */
import { createServer, type Server } from 'node:http';
import { z } from 'zod';

export interface HealthState {
  /** It holds a session that is not over, or waits for one. */
  readonly isReady: boolean;
  readonly isConnected: boolean;
  readonly isDraining: boolean;
  /** Sessions at once. */
  readonly capacity: number;
  readonly sessions: readonly { readonly sessionId: string; readonly epoch: number; readonly state: string }[];
  readonly counters: Readonly<Record<string, number>>;
}

export interface HealthServer {
  readonly url: string;
  close(): Promise<void>;
}

const Address = z.object({ port: z.int() });

/** Names as Prometheus takes them. */
const metricsText = (counters: Readonly<Record<string, number>>): string =>
  Object.entries(counters)
    .map(([name, value]) => `village_runner_${name} ${value}\n`)
    .join('');

/**
 * `GET /live` answers 200 while the event loop turns, `/ready` 200 while there is a session or, for a runner that waits for them,
 * while it is connected, and 503 otherwise; `/metrics` counters where `withMetrics`. Listens on 127.0.0.1 and a free port.
 */
export const startHealthServer = async (stateNow: () => HealthState, withMetrics: boolean): Promise<HealthServer> => {
  const server: Server = createServer((request, response) => {
    const state = stateNow();
    const send = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type }).end(body);
    };
    const { counters, ...rest } = state;
    if (request.url === '/live') send(200, 'application/json', '{"status":"ok"}');
    else if (request.url === '/ready') send(state.isReady ? 200 : 503, 'application/json', JSON.stringify(rest));
    else if (request.url === '/metrics' && withMetrics) send(200, 'text/plain', metricsText(counters));
    else send(404, 'application/json', '{"error":"not found"}');
  });
  // It must never keep the runner from exiting.
  server.unref();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = Address.parse(server.address());
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
};
