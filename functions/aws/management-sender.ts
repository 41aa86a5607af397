/**
 * PostToConnection behind the ConnectionSender port. Two of these posts lie on the way of every keystroke, and the SDK's pipeline around
 * one (schema, endpoint rules, retry, user agent) costs five times what signing and sending do. So the client gives endpoint, region and
 * credentials, and the request itself is made here.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { ApiGatewayManagementApiClient } from '@aws-sdk/client-apigatewaymanagementapi';
import type { ConnectionSender } from '../sessions/ports.ts';
import { type SigningCredentials, signPost } from './sign-request.ts';

/** Posts under way at once; more wait for a socket. A fan-out to the most viewers of a session has room. */
const SOCKETS_MAX = 128;
/** A post is answered within milliseconds; one that hangs for so long is lost, and its socket with it. */
const POST_TIMEOUT_MS = 10_000;
const SERVICE = 'execute-api';
/** Credentials that end are asked for again this long before. */
const REFRESH_BEFORE_MS = 5 * 60_000;

const agents = {
  http: new HttpAgent({ keepAlive: true, maxSockets: SOCKETS_MAX, timeout: POST_TIMEOUT_MS }),
  https: new HttpsAgent({ keepAlive: true, maxSockets: SOCKETS_MAX, timeout: POST_TIMEOUT_MS }),
};

interface Target {
  readonly isTls: boolean;
  readonly hostname: string;
  readonly port: number | undefined;
  /** The Host header. */
  readonly host: string;
  /** What stands before `@connections`, without a slash at its end. */
  readonly basePath: string;
  readonly region: string;
}

const targetOf = async (client: ApiGatewayManagementApiClient): Promise<Target> => {
  const endpoint = await client.config.endpoint?.();
  if (endpoint === undefined) throw new Error('the management client has no endpoint');
  const { protocol, hostname, port, path } = endpoint;
  return {
    isTls: protocol === 'https:',
    hostname,
    port,
    host: port === undefined ? hostname : `${hostname}:${port}`,
    basePath: path.replace(/\/$/, ''),
    region: await client.config.region(),
  };
};

/** The SDK's provider remembers as well, behind a chain of promises that costs more than the signature. */
const rememberedCredentials = (client: ApiGatewayManagementApiClient) => {
  let known: { readonly credentials: SigningCredentials; readonly untilMs: number } | undefined;
  return async (nowMs: number): Promise<SigningCredentials> => {
    if (known !== undefined && nowMs < known.untilMs) return known.credentials;
    const credentials = await client.config.credentials();
    const { expiration } = credentials;
    const untilMs = expiration === undefined ? Number.POSITIVE_INFINITY : expiration.getTime() - REFRESH_BEFORE_MS;
    known = { credentials, untilMs };
    return credentials;
  };
};

interface Answer {
  readonly status: number;
  readonly errorType: string;
}

const answerOf = (response: IncomingMessage): Answer => ({
  status: response.statusCode ?? 0,
  errorType: String(response.headers['x-amzn-errortype'] ?? ''),
});

/** Resolves once the answer is read to its end, so that its socket can be used again. */
const send = (target: Target, path: string, headers: Record<string, string>, body: Buffer): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const { hostname, port, isTls } = target;
    const options = { method: 'POST', hostname, ...(port === undefined ? {} : { port }), path, headers };
    const request = isTls
      ? httpsRequest({ ...options, agent: agents.https })
      : httpRequest({ ...options, agent: agents.http });
    request.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(answerOf(response)));
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`no answer to a post within ${POST_TIMEOUT_MS} ms`)));
    request.on('error', (error) => {
      const isStale = request.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
      /** An idle socket that the other end had closed meanwhile (a function thaws with many). Frames may arrive twice. */
      if (isStale) send(target, path, headers, body).then(resolve, reject);
      else reject(error);
    });
    request.end(body);
  });

export const managementSender = <F>(client: ApiGatewayManagementApiClient): ConnectionSender<F> => {
  const credentialsAt = rememberedCredentials(client);
  let target: Target | undefined;
  return {
    post: async (connectionId, frame) => {
      target ??= await targetOf(client);
      const to = target;
      const body = Buffer.from(JSON.stringify(frame));
      const path = `${to.basePath}/@connections/${encodeURIComponent(connectionId)}`;
      const nowMs = Date.now();
      const credentials = await credentialsAt(nowMs);
      const { host, region } = to;
      const headers = signPost({ credentials, region, service: SERVICE, host, path, body, nowMs });
      const { status, errorType } = await send(to, path, headers, body);
      if (status >= 200 && status < 300) return 'sent';
      if (status === 410) return 'gone';
      /** The service's own failures as well: this frame is lost for one viewer, which sees the gap, and not for the others. */
      if (status === 429 || status >= 500) return 'slow';
      if (status === 413) return 'too_large';
      throw new Error(`a post was answered with ${status} ${errorType}`);
    },
  };
};
