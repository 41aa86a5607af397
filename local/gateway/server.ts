/** The local API Gateway with the page in front: one origin for page, HTTP and WebSocket APIs, one port for `@connections`. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { HttpRoute } from '../../infra/topology.ts';
import { type Clock, type Random, systemClock, systemRandom } from '../../shared/clock.ts';
import { type Chaos, createChaos } from '../chaos.ts';
import type { LambdaInvoker, PlatformLog } from '../lambda/types.ts';
import { closeServer, listenOnLoopback } from '../loopback-server.ts';
import { withDeadline } from './deadline.ts';
import { gatewayAnswer, writeAnswer } from './http-answer.ts';
import { createHttpApi } from './http-api.ts';
import { type Caller, createManagement, managementPath } from './management.ts';
import { createPage, securityHeaders } from './page.ts';
import { type GatewayQuotas, QUOTAS } from './quotas.ts';
import { gatewayId, targetOf } from './request-fields.ts';
import { TokenBucket } from './token-bucket.ts';
import { type ApiSpec, WebSocketApi, type WebSocketPorts } from './ws-api.ts';
import { refuseUpgrade, Upgrader } from './ws-connect.ts';

export interface GatewayOptions {
  /** 0: any free port. */
  readonly port: number;
  /** Port of `@connections`; absent or 0: any free port. */
  readonly managementPort?: number;
  readonly httpRoutes: readonly HttpRoute[];
  readonly webSocketApis: readonly ApiSpec[];
  readonly lambda: LambdaInvoker;
  /** Who may use the management port. */
  readonly caller: Caller;
  /** The built page; absent: only APIs are served. */
  readonly pageDir?: string;
  /** Origins beside its own that the page may connect to, such as the object store's. */
  readonly connectOrigins?: readonly string[];
  /** Headers the edge adds for the functions (lower-case names), such as the origin secret; a client cannot set them. */
  readonly forcedHeaders?: Readonly<Record<string, string>>;
  /** Routes of the local platform itself, asked first: undefined for a path that is not theirs. */
  readonly platformRoutes?: (
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
  ) => Promise<void> | undefined;
  readonly chaos?: Chaos;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly quotas?: Partial<GatewayQuotas>;
  readonly log?: PlatformLog;
}

export interface Gateway {
  /** `http://127.0.0.1:<port>`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** By name of the WebSocket API, for MANAGEMENT_ENDPOINT_*. */
  readonly managementEndpoints: Readonly<Record<string, string>>;
  /** Closes connections with 1001, waits for $disconnect up to the grace time, frees both ports. */
  stop(): Promise<void>;
}

/** The port belongs to another process: say which, and start nothing. */
export class PortTakenError extends Error {
  override readonly name = 'PortTakenError';
  readonly port: number;

  constructor(port: number) {
    super(`Port ${port} of 127.0.0.1 is taken: stop what listens there, or choose another one with --port.`);
    this.port = port;
  }
}

const HOST = '127.0.0.1';
/** Longer than the SDK's idle sockets live, so that a post never meets a socket being closed. */
const KEEP_ALIVE_MS = 65_000;

const listen = (server: Server, port: number): Promise<number> =>
  listenOnLoopback(server, port).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EADDRINUSE' || error.code === 'EACCES' ? new PortTakenError(port) : error;
  });

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** A server whose handler may fail: logged, answered with 500, never the end of the process. */
function serverOf(handle: Handler, random: Random, log: PlatformLog): Server {
  return createServer({ keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true }, (request, response) => {
    // Also a handler that throws before it returns its promise ends up below.
    const answering = async () => handle(request, response);
    answering().catch((error: unknown) => {
      log('request failed in the gateway', { path: targetOf(request).path, error });
      if (response.headersSent) response.destroy();
      else writeAnswer(response, gatewayAnswer(500, 'Internal Server Error'), gatewayId(random));
    });
  });
}

async function frontHandler(options: GatewayOptions, ports: WebSocketPorts): Promise<Handler> {
  const httpApi = createHttpApi({ ...ports, routes: options.httpRoutes });
  // 'self' covers the socket in newer browsers only.
  const sockets = () => [HOST, 'localhost'].map((host) => ports.domainName().replace(HOST, `ws://${host}`));
  const origins = () => [...sockets(), ...(options.connectOrigins ?? [])];
  const page =
    options.pageDir === undefined ? null : await createPage(options.pageDir, () => securityHeaders(origins()));
  return (request, response) => {
    const { path } = targetOf(request);
    const ofPlatform = options.platformRoutes?.(request, response, path);
    if (ofPlatform !== undefined) return ofPlatform;
    const ofPage = path !== '/api' && !path.startsWith('/api/') && path !== '/ws' && !path.startsWith('/ws/');
    return page !== null && ofPage ? page(request, response, path) : httpApi(request, response);
  };
}

function acceptUpgrades(front: Server, apis: ReadonlyMap<string, WebSocketApi>, upgrader: Upgrader): void {
  const byPath = new Map([...apis.values()].map((api) => [api.spec.path, api]));
  front.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const api = byPath.get(targetOf(request).path);
    if (api === undefined) return refuseUpgrade(socket, 404, '{"message":"Not Found"}');
    upgrader.upgrade(api, request, socket, head);
  });
}

/** Starts both servers, or neither: throws PortTakenError, or what opening `pageDir` throws. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { clock = systemClock, random = systemRandom, chaos = createChaos(), log = () => {} } = options;
  const quotas = { ...QUOTAS, ...options.quotas };
  const account = new TokenBucket(clock, { ratePerSecond: quotas.requestsPerSecond, burst: quotas.requestsBurst });
  const connects = { ratePerSecond: quotas.connectsPerSecond, burst: quotas.connectsPerSecond };
  let domainName = HOST;
  const ports: WebSocketPorts = {
    ...{ lambda: options.lambda, clock, random, chaos, quotas, account, log },
    domainName: () => domainName,
    forcedHeaders: options.forcedHeaders ?? {},
  };
  const apis = new Map(options.webSocketApis.map((spec) => [spec.name, new WebSocketApi(spec, ports)]));
  const upgrader = new Upgrader(new TokenBucket(clock, connects), quotas.messageMaxBytes);
  const front = serverOf(await frontHandler(options, ports), random, log);
  const management = serverOf(createManagement(apis, options.caller), random, log);
  acceptUpgrades(front, apis, upgrader);

  const port = await listen(front, options.port);
  domainName = `${HOST}:${port}`;
  const managementPort = await listen(management, options.managementPort ?? 0).catch(async (error: unknown) => {
    await closeServer(front);
    throw error;
  });
  const endpoint = (name: string) => `http://${HOST}:${managementPort}${managementPath(name)}`;
  return {
    url: `http://${domainName}`,
    port,
    managementEndpoints: Object.fromEntries([...apis.keys()].map((name) => [name, endpoint(name)])),
    stop: async () => {
      await withDeadline(clock, quotas.stopGraceMs, upgrader.stop());
      // Posts stay possible while functions run their last $disconnect.
      await Promise.all([...apis.values()].map((api) => api.stop()));
      await Promise.all([closeServer(front), closeServer(management)]);
    },
  };
}
