/**
 * PostToConnection behind the ConnectionSender port, and the closing of a connection. Two of these posts lie on the way of every keystroke, and the client's middleware
 * around one (schema, endpoint rules, retry, user agent) costs four times what signing and sending do: so the request goes through the
 * SDK's own signer and its own HTTP handler, without the stack in between.
 */
import type { ApiGatewayManagementApiClient } from '@aws-sdk/client-apigatewaymanagementapi';
import { HttpRequest } from '@smithy/core/protocols';
import { SignatureV4 } from '@smithy/signature-v4';
import type { ConnectionCloser, ConnectionSender, PostResult } from '../sessions/ports.ts';

/** A post is answered within milliseconds; one that hangs for so long is lost. */
const POST_TIMEOUT_MS = 10_000;
const SERVICE = 'execute-api';

interface Target {
  readonly protocol: string;
  readonly hostname: string;
  readonly port: number | undefined;
  /** What stands before `@connections`, without a slash at its end. */
  readonly basePath: string;
  readonly signer: SignatureV4;
}

const targetOf = async ({ config }: ApiGatewayManagementApiClient): Promise<Target> => {
  const endpoint = await config.endpoint?.();
  if (endpoint === undefined) throw new Error('the management client has no endpoint');
  const { protocol, hostname, port, path } = endpoint;
  const { region, credentials, sha256 } = config;
  const signer = new SignatureV4({ service: SERVICE, region, credentials, sha256 });
  return { protocol, hostname, port, basePath: path.replace(/\/$/, ''), signer };
};

/** The Host header says the port where it is not the scheme's own. */
const hostOf = ({ hostname, port }: Target): string => (port === undefined ? hostname : `${hostname}:${port}`);

const requestOf = (target: Target, method: 'POST' | 'DELETE', connectionId: string, body: Buffer): HttpRequest =>
  new HttpRequest({
    method,
    protocol: target.protocol,
    hostname: target.hostname,
    ...(target.port === undefined ? {} : { port: target.port }),
    path: `${target.basePath}/@connections/${encodeURIComponent(connectionId)}`,
    headers: {
      host: hostOf(target),
      ...(method === 'DELETE' ? {} : { 'content-type': 'application/octet-stream' }),
      'content-length': String(body.length),
    },
    body,
  });

/** A body is read to its end, so that its socket can be used again. */
const drain = (body: NodeJS.ReadableStream): Promise<void> =>
  new Promise((resolve, reject) => {
    body.once('end', resolve);
    body.once('error', reject);
    body.resume();
  });

const resultOf = (status: number, errorType: string): PostResult => {
  if (status >= 200 && status < 300) return 'sent';
  if (status === 410) return 'gone';
  /** The service's own failures as well: this frame is lost for one viewer, which sees the gap, and not for the others. */
  if (status === 429 || status >= 500) return 'slow';
  if (status === 413) return 'too_large';
  throw new Error(`a post was answered with ${status} ${errorType}`);
};

/** An idle socket that the other end had closed meanwhile, as a function meets it that thaws. */
const isStale = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ECONNRESET';

interface Answer {
  readonly status: number;
  readonly errorType: string;
}

/** One signed request; once more on a fresh socket where the first was stale. */
const requester = (client: ApiGatewayManagementApiClient) => {
  let target: Target | undefined;
  const send = async (method: 'POST' | 'DELETE', connectionId: string, body: Buffer): Promise<Answer> => {
    target ??= await targetOf(client);
    const signed = HttpRequest.clone(await target.signer.sign(requestOf(target, method, connectionId, body)));
    const { response } = await client.config.requestHandler.handle(signed, { requestTimeout: POST_TIMEOUT_MS });
    await drain(response.body);
    return { status: response.statusCode, errorType: response.headers['x-amzn-errortype'] ?? '' };
  };
  return async (method: 'POST' | 'DELETE', connectionId: string, body: Buffer): Promise<Answer> => {
    try {
      return await send(method, connectionId, body);
    } catch (error) {
      if (!isStale(error)) throw error;
      /** A frame may arrive twice then, which its address or number tells. */
      return send(method, connectionId, body);
    }
  };
};

export const managementSender = <F>(client: ApiGatewayManagementApiClient): ConnectionSender<F> => {
  const request = requester(client);
  return {
    post: async (connectionId, frame) => {
      const { status, errorType } = await request('POST', connectionId, Buffer.from(JSON.stringify(frame)));
      return resultOf(status, errorType);
    },
  };
};

export const managementCloser = (client: ApiGatewayManagementApiClient): ConnectionCloser => {
  const request = requester(client);
  return {
    close: async (connectionId) => {
      const { status, errorType } = await request('DELETE', connectionId, Buffer.alloc(0));
      if (status !== 410 && (status < 200 || status >= 300))
        throw new Error(`the closing of a connection was answered with ${status} ${errorType}`);
    },
  };
};
