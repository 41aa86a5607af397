/** `@connections`: the signed API through which functions post to, look at and close WebSocket connections. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { systemClock } from '../../shared/clock.ts';
import { type SigningIdentity, verifySignature } from '../s3/sigv4.ts';
import type { Connection } from './connection.ts';
import { readBody } from './read-body.ts';
import { gatewayId, targetOf } from './request-fields.ts';
import type { WebSocketApi } from './ws-api.ts';
import { STAGE } from './ws-events.ts';

export type Caller = Pick<SigningIdentity, 'accessKeyId' | 'secretAccessKey' | 'region'>;

interface Answer {
  readonly status: number;
  /** Becomes the SDK's typed error. */
  readonly errorType?: string;
  readonly body?: unknown;
}

const failure = (status: number, errorType: string, message: string): Answer => ({
  status,
  errorType,
  body: { message },
});
const GONE = failure(410, 'GoneException', 'The connection is closed or not open yet.');
const LIMIT = (why: string): Answer => failure(429, 'LimitExceededException', why);
const FORBIDDEN = failure(403, 'ForbiddenException', 'Forbidden');
const ROUTE = /^\/([^/]+)\/([^/]+)\/@connections\/([^/]+)$/;

/** Path of an API's endpoint; on AWS it is `/<stage>` of the API's own host. */
export const managementPath = (apiName: string): string => `/${apiName}/${STAGE}`;

function connectionIdOf(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded);
  } catch {
    // Not percent-encoding: no id can look like this.
    return null;
  }
}

function post(api: WebSocketApi, id: string, data: Buffer): Answer {
  const { chaos } = api.ports;
  const point = `${api.spec.name}/post`;
  // Looked up after the body is read: it may have closed meanwhile.
  const connection = api.connections.get(id);
  if (connection === undefined || !connection.isOpen) return GONE;
  if (chaos.strikes('throttle', point)) return LIMIT('Injected by chaos.');
  if (chaos.strikes('drop', point)) return { status: 200 };
  const copies = chaos.strikes('duplicate', point) ? 2 : 1;
  for (let copy = 0; copy < copies; copy += 1) {
    const heldMs = chaos.reorderMs(point);
    const sent = heldMs > 0 ? connection.sendLater(data, heldMs) : connection.send(data);
    if (sent === 'gone') return GONE;
    if (sent === 'buffer_full') return LIMIT("The client's buffer is full.");
  }
  if (chaos.strikes('cut', point)) connection.cut();
  return { status: 200 };
}

function describe({ info, lastActiveMs }: Connection): Answer {
  const body = {
    connectedAt: new Date(info.connectedAtMs).toISOString(),
    identity: { sourceIp: info.sourceIp, userAgent: info.userAgent ?? '' },
    lastActiveAt: new Date(lastActiveMs).toISOString(),
  };
  return { status: 200, body };
}

/** Any process of the machine can reach the port: only the village's own functions may post. `null`: they did. */
function signatureFault(request: IncomingMessage, body: Buffer, caller: Caller, nowMs: number): Answer | null {
  const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value ?? '')]);
  // The SDK does not send the digest; it is part of what was signed all the same.
  const digest = { 'x-amz-content-sha256': createHash('sha256').update(body).digest('hex') };
  const { path, query } = targetOf(request);
  const verdict = verifySignature(
    {
      method: request.method ?? '',
      rawPath: path,
      query: [...new URLSearchParams(query)],
      headers: { ...Object.fromEntries(headers), ...digest },
    },
    { ...caller, service: 'execute-api', escapesPathAgain: true },
    nowMs,
  );
  if (verdict.ok) return null;
  const isUnknown = verdict.code === 'InvalidAccessKeyId' || verdict.code === 'InvalidToken';
  return failure(403, isUnknown ? 'UnrecognizedClientException' : 'InvalidSignatureException', verdict.message);
}

async function answerOf(
  apis: ReadonlyMap<string, WebSocketApi>,
  caller: Caller,
  request: IncomingMessage,
): Promise<Answer | 'aborted'> {
  if (request.headers.authorization === undefined)
    return failure(403, 'MissingAuthenticationTokenException', 'Missing Authentication Token');
  const [, apiName = '', stage, encodedId = ''] = ROUTE.exec(targetOf(request).path) ?? [];
  const api = apis.get(apiName);
  const id = connectionIdOf(encodedId);
  if (api === undefined || stage !== STAGE || id === null) return FORBIDDEN;
  const body = await readBody(request, api.ports.quotas.messageMaxBytes);
  if (body === 'aborted') return 'aborted';
  if (body === 'too_large') return failure(413, 'PayloadTooLargeException', 'Payload too large');
  // The clients sign by the wall clock, also where the gateway's own clock is moved by hand.
  const fault = signatureFault(request, body, caller, systemClock.nowMs());
  if (fault !== null) return fault;
  if (!api.ports.account.take()) return LIMIT('Rate exceeded');
  if (request.method === 'POST') return post(api, id, body);
  const connection = api.connections.get(id);
  if (request.method !== 'GET' && request.method !== 'DELETE') return FORBIDDEN;
  if (connection === undefined || !connection.isOpen) return GONE;
  if (request.method === 'GET') return describe(connection);
  connection.close(1000, 'Connection Closed Normally');
  return { status: 204 };
}

/** The handler of the management port; `apis` by name, `caller` whose signature is asked for. */
export function createManagement(
  apis: ReadonlyMap<string, WebSocketApi>,
  caller: Caller,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const answer = await answerOf(apis, caller, request);
    const random = apis.values().next().value?.ports.random;
    if (answer === 'aborted' || response.destroyed) return;
    response.statusCode = answer.status;
    if (random !== undefined) response.setHeader('x-amzn-requestid', gatewayId(random));
    if (answer.errorType !== undefined) response.setHeader('x-amzn-errortype', answer.errorType);
    if (answer.body === undefined) return void response.end();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(answer.body));
  };
}
