/** Keeps the real model key out of the agent's reach: the CLI knows a dummy key and a loopback address, this proxy swaps the key on the way out. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as requestHttp,
  type ServerResponse,
} from 'node:http';
import { request as requestHttps } from 'node:https';
import { pipeline, Transform } from 'node:stream';
import {
  MODEL_CALLS_MAX,
  MODEL_IDLE_TIMEOUT_MS,
  MODEL_REQUEST_MAX_BYTES,
  MODEL_RESPONSE_MAX_BYTES,
} from '../../../../shared/limits.ts';
import { carriesKey, closeServer, listenOnLoopback, sendHeld, sendModelError } from '../loopback-http.ts';

export interface ModelProxyLimits {
  readonly requestMaxBytes: number;
  readonly responseMaxBytes: number;
  readonly callsMax: number;
  /** Silence on the upstream connection after which the call is given up. */
  readonly idleTimeoutMs: number;
}

export interface ModelProxyOptions {
  /** The vendor's API, `https://api.anthropic.com` or a gateway with a base path. */
  readonly upstream: string;
  /** Asked for each call, so that a rotated key is used from the next call on. */
  readonly realKey: () => Promise<string>;
  readonly dummyKey: string;
  /** The port of a runner process before this one, whose CLI still calls there. */
  readonly port?: number;
  /** While this is true no call goes out: nobody would pay for it, or the lease is lost. */
  readonly isHeld?: () => boolean;
  readonly limits?: Partial<ModelProxyLimits>;
}

export interface ModelProxy {
  readonly url: string;
  stop(): Promise<void>;
}

const DEFAULT_LIMITS: ModelProxyLimits = {
  requestMaxBytes: MODEL_REQUEST_MAX_BYTES,
  responseMaxBytes: MODEL_RESPONSE_MAX_BYTES,
  callsMax: MODEL_CALLS_MAX,
  idleTimeoutMs: MODEL_IDLE_TIMEOUT_MS,
};

/** Method and path, with the query parameters that may go along. Nothing else leaves the machine. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'POST /v1/messages': ['beta'],
  'POST /v1/messages/count_tokens': ['beta'],
  'GET /v1/models': ['limit', 'after_id', 'before_id', 'beta'],
};

const REQUEST_HEADERS =
  /^(content-type|content-length|accept|user-agent|anthropic-(version|beta)|x-app|x-stainless-.+)$/;
const RESPONSE_HEADERS = /^(content-type|content-length|request-id|retry-after|x-should-retry|anthropic-.+)$/;

function pickHeaders(headers: IncomingHttpHeaders, allowed: RegExp): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => allowed.test(name)));
}

/** The address a call goes to, or undefined for one that is not on the list. */
export function upstreamUrl(upstream: string, method: string, url: string): URL | undefined {
  // Compared as written: a path that only becomes an allowed one when it is resolved is not on the list.
  const [path = '', query = ''] = url.split('?', 2);
  const parameters = ALLOWED[`${method} ${path}`];
  if (parameters === undefined) return undefined;
  const asked = new URLSearchParams(query);
  const target = new URL(upstream);
  target.pathname = target.pathname.replace(/\/$/, '') + path;
  target.search = '';
  for (const name of parameters) {
    const value = asked.get(name);
    if (value !== null) target.searchParams.set(name, value);
  }
  return target;
}

/** Passes bytes on as they come and fails once there are too many. */
function byteCap(maxBytes: number): Transform {
  let sizeBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) done(new TooLarge());
      else done(null, chunk);
    },
  });
}

class TooLarge extends Error {}

interface Call {
  readonly target: URL;
  readonly realKey: string;
  readonly limits: ModelProxyLimits;
}

/** Resolves when the call is over, however it ended; every failure is told to the CLI in the vendor's shape, without keys or bodies. */
function forward(call: Call, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { target, limits } = call;
  return new Promise((resolve) => {
    response.once('close', resolve);
    const send = target.protocol === 'https:' ? requestHttps : requestHttp;
    const headers = {
      ...pickHeaders(request.headers, REQUEST_HEADERS),
      'x-api-key': call.realKey,
      'accept-encoding': 'identity',
    };
    const outgoing = send(target, { method: request.method ?? 'GET', headers, timeout: limits.idleTimeoutMs });
    let timedOut = false;
    outgoing.once('timeout', () => {
      timedOut = true;
      outgoing.destroy(new Error('silent upstream'));
    });
    outgoing.once('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, pickHeaders(answer.headers, RESPONSE_HEADERS));
      // A cut answer must not look complete: pipeline destroys the connection to the CLI on any error.
      pipeline(answer, byteCap(limits.responseMaxBytes), response, () => outgoing.destroy());
    });
    response.once('close', () => outgoing.destroy());
    pipeline(request, byteCap(limits.requestMaxBytes), outgoing, (error) => {
      if (!error || response.headersSent) return;
      if (error instanceof TooLarge)
        sendModelError(response, 413, 'request_too_large', 'Request exceeds the maximum size');
      else if (timedOut) sendModelError(response, 504, 'timeout_error', 'The model API did not answer in time');
      else sendModelError(response, 502, 'api_error', 'The model API cannot be reached');
    });
    outgoing.on('error', () => {
      // Before an answer the pipeline above tells the CLI; once the request was sent whole, only this listener hears of it.
      if (timedOut) sendModelError(response, 504, 'timeout_error', 'The model API did not answer in time');
      else if (!response.headersSent && request.readableEnded)
        sendModelError(response, 502, 'api_error', 'The model API cannot be reached');
    });
  });
}

/** Starts the proxy on a loopback port. It never logs; a call that is not on the list gets 404 without a word to the upstream. */
export async function startModelProxy(options: ModelProxyOptions): Promise<ModelProxy> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  let callsOpen = 0;

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = request.url ?? '/';
    if (request.method === 'HEAD' && url === '/') {
      response.writeHead(200).end();
      return;
    }
    if (!carriesKey(request, options.dummyKey))
      return sendModelError(response, 401, 'authentication_error', 'invalid x-api-key');
    if (options.isHeld?.() === true) {
      request.resume();
      return sendHeld(response);
    }
    const target = upstreamUrl(options.upstream, request.method ?? '', url);
    if (target === undefined)
      return sendModelError(response, 404, 'not_found_error', 'This call is not allowed from a session');
    if (Number(request.headers['content-length'] ?? 0) > limits.requestMaxBytes) {
      request.resume();
      return sendModelError(response, 413, 'request_too_large', 'Request exceeds the maximum size');
    }
    if (callsOpen >= limits.callsMax)
      return sendModelError(response, 529, 'overloaded_error', 'Too many model calls at once');
    callsOpen += 1;
    try {
      await forward({ target, realKey: await options.realKey(), limits }, request, response);
    } finally {
      callsOpen -= 1;
    }
  };

  const server = createServer((request, response) => {
    // The reason may quote the key's source, so the CLI is not told it.
    handle(request, response).catch(() => sendModelError(response, 500, 'api_error', 'The model key is not available'));
  });
  const url = await listenOnLoopback(server, options.port);
  return { url, stop: () => closeServer(server) };
}
