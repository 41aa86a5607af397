/** A gateway with programmable functions in front of real `ws` clients and the real SDK client. */
import { once } from 'node:events';
import { ApiGatewayManagementApiClient, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';
import { WebSocket } from 'ws';
import type { FunctionName, FunctionSpec } from '../../infra/topology.ts';
import { FUNCTIONS } from '../../infra/topology.ts';
import type { GatewayOptions } from '../../local/gateway/server.ts';
import { type Gateway, startGateway } from '../../local/gateway/server.ts';
import type { ApiSpec } from '../../local/gateway/ws-api.ts';
import { createLambda } from '../../local/lambda/lambda.ts';
import type { Lambda, LambdaHandler } from '../../local/lambda/types.ts';
import { systemClock, systemRandom } from '../../shared/clock.ts';

/** A proxy event, as far as the tests look at it. */
export interface ProxyEvent {
  readonly body?: string;
  readonly headers: Record<string, string>;
  readonly requestContext: Record<string, unknown> & {
    readonly connectionId: string;
    readonly routeKey: string;
    readonly authorizer?: Record<string, unknown>;
  };
}
export type Handlers = Partial<Record<FunctionName, (event: ProxyEvent) => unknown>>;

export const API: ApiSpec = {
  name: 'viewer',
  path: '/ws/viewer',
  routeSelectionExpression: '$request.body.type',
  authorizer: 'authorize-viewer',
  identitySource: 'route.request.header.Sec-WebSocket-Protocol',
  routes: [
    { key: '$connect', function: 'viewer-connection', routeResponse: false },
    { key: '$disconnect', function: 'viewer-connection', routeResponse: false },
    { key: '$default', function: 'viewer-frames', routeResponse: true },
  ],
  throttle: { ratePerSecond: 4_000, burst: 2_000 },
};

export const allow = (context: Record<string, unknown> = {}) => ({
  principalId: 'ann',
  policyDocument: {
    Version: '2012-10-17',
    Statement: [{ Action: 'execute-api:Invoke', Effect: 'Allow', Resource: '*' }],
  },
  context,
});

const DEFAULTS: Handlers = {
  'authorize-viewer': () => allow(),
  'viewer-connection': () => ({ statusCode: 200, headers: { 'Sec-WebSocket-Protocol': 'village.viewer.v1' } }),
  'viewer-frames': (event) => ({ statusCode: 200, body: event.body ?? '' }),
};

export class Harness {
  readonly handlers: Handlers;
  readonly lambda: Lambda;
  readonly gateway: Gateway;
  readonly events: Record<'connect' | 'message' | 'disconnect' | 'authorizer', ProxyEvent[]>;
  readonly logged: string[];
  readonly #sockets: WebSocket[] = [];

  private constructor(parts: Pick<Harness, 'handlers' | 'lambda' | 'gateway' | 'events' | 'logged'>) {
    this.handlers = parts.handlers;
    this.lambda = parts.lambda;
    this.gateway = parts.gateway;
    this.events = parts.events;
    this.logged = parts.logged;
  }

  static async start(
    handlers: Handlers = {},
    options: Partial<GatewayOptions> = {},
    functions: readonly FunctionSpec[] = FUNCTIONS,
  ): Promise<Harness> {
    const events: Harness['events'] = { connect: [], message: [], disconnect: [], authorizer: [] };
    const logged: string[] = [];
    const all: Handlers = { ...DEFAULTS, ...handlers };
    const record = (event: ProxyEvent) => {
      if ('type' in event && event.type === 'REQUEST') events.authorizer.push(event);
      else if (event.requestContext.routeKey === '$connect') events.connect.push(event);
      else if (event.requestContext.routeKey === '$disconnect') events.disconnect.push(event);
      else events.message.push(event);
    };
    const lambda = createLambda({
      functions,
      load: async (entry) => {
        const spec = functions.find((candidate) => candidate.entry === entry);
        const handler: LambdaHandler = (event) => {
          const proxied = event as ProxyEvent;
          record(proxied);
          const chosen = spec === undefined ? undefined : all[spec.name];
          if (chosen === undefined) throw new Error(`no handler for ${entry}`);
          return chosen(proxied);
        };
        return { handler };
      },
      clock: systemClock,
      random: systemRandom,
    });
    const gateway = await startGateway({
      port: 0,
      httpRoutes: [],
      webSocketApis: [API],
      lambda,
      caller: { accessKeyId: 'local', secretAccessKey: 'local', region: 'us-east-1' },
      log: (message) => logged.push(message),
      ...options,
      quotas: { stopGraceMs: 500, ...options.quotas },
    });
    return new Harness({ handlers: all, lambda, gateway, events, logged });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.terminate();
    await this.gateway.stop();
    await this.lambda.stop(0);
  }

  dial(
    over: { path?: string; protocols?: string[]; headers?: Record<string, string>; autoPong?: boolean } = {},
  ): WebSocket {
    const url = `${this.gateway.url.replace('http', 'ws')}${over.path ?? API.path}`;
    const socket = new WebSocket(url, over.protocols ?? ['village.viewer.v1'], {
      headers: over.headers ?? {},
      perMessageDeflate: false,
    });
    // Tests look at what happens to the socket; without a listener its error would end the run.
    socket.on('error', () => {});
    this.#sockets.push(socket);
    return socket;
  }

  /** An open connection with its id; $connect echoes the subprotocol. */
  async open(over: Parameters<Harness['dial']>[0] = {}): Promise<{ socket: WebSocket; id: string }> {
    const known = this.events.connect.length;
    const socket = this.dial(over);
    await once(socket, 'open');
    const id = this.events.connect[known]?.requestContext.connectionId;
    if (id === undefined) throw new Error('$connect was not invoked');
    return { socket, id };
  }

  client(credentials = { accessKeyId: 'local', secretAccessKey: 'local' }): ApiGatewayManagementApiClient {
    return new ApiGatewayManagementApiClient({
      endpoint: this.gateway.managementEndpoints.viewer ?? '',
      region: 'us-east-1',
      credentials,
      maxAttempts: 1,
    });
  }

  post(client: ApiGatewayManagementApiClient, id: string, data: string | Uint8Array) {
    return client.send(new PostToConnectionCommand({ ConnectionId: id, Data: data }));
  }
}

export const textOf = (data: unknown): string => String(data);

/** The next message of a socket as text. */
export async function nextText(socket: WebSocket): Promise<string> {
  const [data] = await once(socket, 'message');
  return textOf(data);
}

/** Code and reason of a socket's close. */
export async function closed(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = await once(socket, 'close');
  return { code: Number(code), reason: String(reason) };
}

/** Status and body of an upgrade that was refused. */
export function refused(socket: WebSocket): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    socket.on('open', () => reject(new Error('the connection opened')));
    socket.on('unexpected-response', (_request, response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString() }));
    });
  });
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`never happened: ${what}`);
}

/** A promise with its resolver, for handlers that wait. */
export function signal<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  const { promise, resolve } = Promise.withResolvers<T>();
  return { promise, resolve };
}
