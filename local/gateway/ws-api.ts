/** One WebSocket API: its connections, and what happens to each message and each end of a connection. */
import { z } from 'zod';
import type { WebSocketApiSpec } from '../../infra/topology.ts';
import { type Clock, type Random, sleep } from '../../shared/clock.ts';
import type { Chaos } from '../chaos.ts';
import type { InvokeResult, LambdaInvoker, PlatformLog } from '../lambda/types.ts';
import type { Connection, ConnectionInfo } from './connection.ts';
import { withDeadline } from './deadline.ts';
import type { GatewayQuotas } from './quotas.ts';
import { gatewayId } from './request-fields.ts';
import { TokenBucket } from './token-bucket.ts';
import { disconnectEvent, type EventScope, messageEvent } from './ws-events.ts';

export interface RouteSpec {
  readonly key: string;
  readonly function: string;
  readonly routeResponse: boolean;
}
/** The topology's type, with any route key: matching by key is the gateway's work whoever uses it. */
export type ApiSpec = Omit<WebSocketApiSpec, 'name' | 'routes' | 'authorizer'> & {
  readonly name: string;
  readonly routes: readonly RouteSpec[];
  readonly authorizer: string | null;
};

export interface WebSocketPorts {
  readonly lambda: LambdaInvoker;
  readonly clock: Clock;
  readonly random: Random;
  readonly chaos: Chaos;
  readonly quotas: GatewayQuotas;
  readonly account: TokenBucket;
  readonly domainName: () => string;
  readonly forcedHeaders: Readonly<Record<string, string>>;
  readonly log: PlatformLog;
}

const ProxyAnswer = z.object({ statusCode: z.int(), body: z.string().nullish() });

export class WebSocketApi {
  readonly spec: ApiSpec;
  readonly ports: WebSocketPorts;
  /** Only what $connect has let in: a post to anything else is 410. */
  readonly connections = new Map<string, Connection>();
  readonly #routes: ReadonlyMap<string, RouteSpec>;
  readonly #selects: boolean;
  readonly #throttle: TokenBucket;
  readonly #ending = new Set<Promise<void>>();

  constructor(spec: ApiSpec, ports: WebSocketPorts) {
    this.spec = spec;
    this.ports = ports;
    this.#routes = new Map(spec.routes.map((route) => [route.key, route]));
    this.#selects = spec.routes.some((route) => !route.key.startsWith('$'));
    this.#throttle = new TokenBucket(ports.clock, spec.throttle);
  }

  get scope(): EventScope {
    const { clock, random, domainName } = this.ports;
    return { apiId: this.spec.name, domainName: domainName(), nowMs: clock.nowMs(), random };
  }

  route(key: string): RouteSpec | undefined {
    return this.#routes.get(key);
  }

  /** Handles one message, beside others of the same connection: the gateway promises no order. */
  async message(connection: Connection, text: string): Promise<void> {
    const { chaos } = this.ports;
    const point = `${this.spec.name}/message`;
    const requestId = gatewayId(this.ports.random);
    const admitted = this.#throttle.take() && this.ports.account.take();
    if (!admitted || chaos.strikes('throttle', point)) return this.#tell(connection, 'Too Many Requests', requestId);
    if (chaos.strikes('drop', point)) return;
    const copies = chaos.strikes('duplicate', point) ? 2 : 1;
    // The handler runs and its answer is lost: the harder of the two moments to break at.
    if (chaos.strikes('cut', point)) connection.cut();
    try {
      await Promise.all(Array.from({ length: copies }, () => this.#deliver(connection, text, requestId, point)));
    } catch (error) {
      this.ports.log('message could not be handled', { api: this.spec.name, error });
      this.#tell(connection, 'Internal server error', requestId);
    }
  }

  async #deliver(connection: Connection, text: string, requestId: string, point: string): Promise<void> {
    const { lambda, clock, quotas, chaos } = this.ports;
    const heldMs = chaos.reorderMs(point);
    if (heldMs > 0) await sleep(clock, heldMs);
    const route = this.#select(text);
    if (route === undefined) return this.#tell(connection, 'Forbidden', requestId);
    const event = messageEvent(this.scope, connection.info, { routeKey: route.key, text, requestId });
    const asked = lambda.invoke(route.function, event, { source: 'websocket' });
    const result = await withDeadline(clock, quotas.wsIntegrationMs, asked);
    if (result === 'late') return this.#tell(connection, 'Endpoint request timed out', requestId);
    this.#answer(connection, route, result, requestId);
  }

  /** `$request.body.type`, exactly; anything else, also what is no JSON, is for $default. */
  #select(text: string): RouteSpec | undefined {
    const fallback = this.#routes.get('$default');
    if (!this.#selects) return fallback;
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      // No JSON: $default.
      return fallback;
    }
    const key = typeof body === 'object' && body !== null && 'type' in body ? body.type : undefined;
    if (typeof key !== 'string' || key.startsWith('$')) return fallback;
    return this.#routes.get(key) ?? fallback;
  }

  #answer(connection: Connection, route: RouteSpec, result: InvokeResult, requestId: string): void {
    const answer = result.ok ? ProxyAnswer.safeParse(result.payload) : null;
    if (answer === null || !answer.success) {
      this.#tell(connection, 'Internal server error', requestId);
      return;
    }
    const body = answer.data.body ?? '';
    if (route.routeResponse && body !== '') this.#respond(connection, Buffer.from(body));
  }

  #respond(connection: Connection, data: Buffer): void {
    if (data.length > this.ports.quotas.messageMaxBytes) connection.close(1009, 'Message too long');
    else if (connection.send(data) === 'buffer_full')
      this.ports.log('answer lost: the client does not read', {
        api: this.spec.name,
        connectionId: connection.info.id,
      });
  }

  /** The gateway's own frame; it has no `type`. A client that is gone or does not read misses it, as on AWS. */
  #tell(connection: Connection, message: string, requestId: string): void {
    connection.send(Buffer.from(JSON.stringify({ message, connectionId: connection.info.id, requestId })));
  }

  ended(connection: Connection, code: number, reason: string): void {
    this.connections.delete(connection.info.id);
    this.#disconnect(connection.info, code, reason);
  }

  /** $connect ran, but its client was gone before the upgrade. */
  endedUnopened(info: ConnectionInfo): void {
    this.#disconnect(info, 1006, 'Connection Closed Abnormally');
  }

  /** Best effort: asked once, never repeated. */
  #disconnect(info: ConnectionInfo, code: number, reason: string): void {
    const route = this.#routes.get('$disconnect');
    if (route === undefined || this.ports.chaos.strikes('drop', `${this.spec.name}/disconnect`)) return;
    const event = disconnectEvent(this.scope, info, code, reason);
    const asked = this.ports.lambda
      .invoke(route.function, event, { source: 'websocket' })
      .then(() => {})
      .catch((error: unknown) => this.ports.log('$disconnect cannot run', { api: this.spec.name, error }))
      .finally(() => this.#ending.delete(asked));
    this.#ending.add(asked);
  }

  /** Closes everything with 1001 and waits, up to the grace time, for clients and $disconnect functions. */
  async stop(): Promise<void> {
    const { clock, quotas } = this.ports;
    const open = [...this.connections.values()];
    for (const connection of open) connection.close(1001, 'Going away');
    const cancel = clock.after(quotas.stopGraceMs / 2, () => {
      for (const connection of open) connection.cut();
    });
    await withDeadline(clock, quotas.stopGraceMs, this.#allEnded(open));
    cancel();
    for (const connection of open) connection.cut();
  }

  async #allEnded(open: readonly Connection[]): Promise<void> {
    await Promise.all(open.map((connection) => connection.gone));
    await Promise.all(this.#ending);
  }
}
