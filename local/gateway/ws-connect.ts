/** The upgrade of a WebSocket: it waits for the authorizer and for $connect, and passes on what they say. */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { z } from 'zod';
import { Connection, type ConnectionInfo } from './connection.ts';
import { withDeadline } from './deadline.ts';
import { gatewayId, sourceIpOf } from './request-fields.ts';
import type { TokenBucket } from './token-bucket.ts';
import type { WebSocketApi } from './ws-api.ts';
import { authorizerDecision } from './ws-authorizer.ts';
import { connectArn, connectEvents } from './ws-events.ts';

const ConnectAnswer = z.object({
  statusCode: z.int().min(200).max(599),
  headers: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).nullish(),
  body: z.string().nullish(),
});

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

type Verdict =
  | { readonly open: true; readonly info: ConnectionInfo; readonly subprotocol: string | null }
  | { readonly open: false; readonly status: number; readonly body: string };

/** Answers an upgrade that is not granted and closes the socket. */
export function refuseUpgrade(socket: Duplex, status: number, body: string): void {
  // A client that left meanwhile needs no answer.
  socket.on('error', () => socket.destroy());
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}`,
    'Connection: close',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.once('finish', () => socket.destroy());
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Whether `ws` will take this handshake; asked first, so that no $connect runs for a connection that cannot open. */
function isHandshake(request: IncomingMessage): boolean {
  const key = request.headers['sec-websocket-key'] ?? '';
  return (
    request.method === 'GET' &&
    request.headers.upgrade?.toLowerCase() === 'websocket' &&
    /^[+/0-9A-Za-z]{22}==$/.test(key) &&
    request.headers['sec-websocket-version'] === '13' &&
    /^[^\s,]+(?:\s*,\s*[^\s,]+)*$/.test(request.headers['sec-websocket-protocol'] ?? 'none')
  );
}

const IDENTITY_HEADER = /^route\.request\.header\.(.+)$/;

/** False where a header that the API names as identity source is missing: then the authorizer is not even asked. */
function hasIdentity(request: IncomingMessage, identitySource: string): boolean {
  const name = IDENTITY_HEADER.exec(identitySource)?.[1];
  const value = name === undefined ? undefined : request.headers[name.toLowerCase()];
  return name === undefined || (value !== undefined && value.length > 0);
}

export class Upgrader {
  readonly #server: WebSocketServer;
  readonly #subprotocols = new WeakMap<IncomingMessage, string>();
  /** Sockets whose upgrade is not decided yet. */
  readonly #pending = new Map<Duplex, Promise<void>>();
  readonly #connects: TokenBucket;

  constructor(connects: TokenBucket, messageMaxBytes: number) {
    this.#connects = connects;
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      // No protocol pings and no pongs: API Gateway leaves keep-alive to the application.
      autoPong: false,
      maxPayload: messageMaxBytes,
      handleProtocols: (_offered, request) => this.#subprotocols.get(request) ?? false,
    });
  }

  /** Decides one upgrade of `api`, in its own time. */
  upgrade(api: WebSocketApi, request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const deciding = this.#decide(api, request, socket, head).finally(() => this.#pending.delete(socket));
    this.#pending.set(socket, deciding);
  }

  async #decide(api: WebSocketApi, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    // Nothing else listens until the hand-over: without this a reset would end the process.
    const onError = () => socket.destroy();
    socket.on('error', onError);
    const verdict = await this.#judge(api, request).catch((error: unknown): Verdict => {
      api.ports.log('upgrade failed', { api: api.spec.name, error });
      return { open: false, status: 500, body: '{"message":"Internal server error"}' };
    });
    socket.off('error', onError);
    if (!verdict.open) return refuseUpgrade(socket, verdict.status, verdict.body);
    this.#open(api, verdict, { request, socket, head });
  }

  async #judge(api: WebSocketApi, request: IncomingMessage): Promise<Verdict> {
    const { spec, ports } = api;
    const connectionId = gatewayId(ports.random);
    const requestId = gatewayId(ports.random);
    const no = (status: number, message: string): Verdict => ({
      open: false,
      status,
      body: JSON.stringify({ message, connectionId, requestId }),
    });
    if (!isHandshake(request)) return no(400, 'Bad Request');
    const admitted = this.#connects.take() && ports.account.take();
    if (!admitted || api.connections.size >= ports.quotas.connectionsMax) return no(429, 'Too Many Requests');
    const info: ConnectionInfo = {
      id: connectionId,
      connectedAtMs: ports.clock.nowMs(),
      sourceIp: sourceIpOf(request),
      userAgent: request.headers['user-agent'],
      authorizer: {},
    };
    const events = connectEvents(api.scope, request, ports.forcedHeaders, requestId);
    if (spec.authorizer === null) return this.#connect(api, info, events.connect(info), no);
    if (!hasIdentity(request, spec.identitySource)) return no(401, 'Unauthorized');
    const asked = ports.lambda.invoke(spec.authorizer, events.authorizer(info), { source: 'authorizer' });
    const result = await withDeadline(ports.clock, ports.quotas.wsIntegrationMs, asked);
    if (result === 'late') return no(500, 'Internal server error');
    const decision = authorizerDecision(result, connectArn(spec.name), ports.quotas.authorizerContextMaxBytes);
    if (!decision.allowed) return no(decision.status, decision.message);
    const known = { ...info, authorizer: decision.context };
    return this.#connect(api, known, events.connect(known), no);
  }

  async #connect(
    api: WebSocketApi,
    info: ConnectionInfo,
    event: unknown,
    no: (status: number, message: string) => Verdict,
  ): Promise<Verdict> {
    const { lambda, clock, quotas } = api.ports;
    const route = api.route('$connect');
    if (route === undefined) return { open: true, info, subprotocol: null };
    const asked = lambda.invoke(route.function, event, { source: 'websocket' });
    const result = await withDeadline(clock, quotas.wsIntegrationMs, asked);
    if (result === 'late') return no(504, 'Endpoint request timed out');
    const answer = result.ok ? ConnectAnswer.safeParse(result.payload) : null;
    if (answer === null || !answer.success) return no(502, 'Internal server error');
    const { statusCode, headers, body } = answer.data;
    if (statusCode > 299) return body ? { open: false, status: statusCode, body } : no(statusCode, 'Forbidden');
    const chosen = Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === 'sec-websocket-protocol');
    const subprotocol = chosen === undefined ? null : String(chosen[1]);
    // ws writes it into the answer as it is: nothing but a token may get there.
    if (subprotocol !== null && !TOKEN.test(subprotocol)) return no(502, 'Internal server error');
    return { open: true, info, subprotocol };
  }

  #open(
    api: WebSocketApi,
    verdict: Extract<Verdict, { open: true }>,
    wire: { request: IncomingMessage; socket: Duplex; head: Buffer },
  ): void {
    const { request, socket, head } = wire;
    const { clock, quotas } = api.ports;
    const { info } = verdict;
    let connection: Connection | null = null;
    if (verdict.subprotocol !== null) this.#subprotocols.set(request, verdict.subprotocol);
    Connection.meterFrames(socket, quotas, () => connection);
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      connection = new Connection(info, ws, {
        clock,
        quotas,
        onMessage: (from, text) => api.message(from, text),
        onClosed: (from, code, reason) => api.ended(from, code, reason),
      });
      api.connections.set(info.id, connection);
    });
    // The client left while $connect ran: what it wrote has to be taken back.
    if (connection === null) api.endedUnopened(info);
  }

  /** Breaks what is undecided off; resolves when its functions are done, so that their $disconnect can follow. */
  async stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#pending.keys()) socket.destroy();
    await Promise.all(this.#pending.values());
  }
}
