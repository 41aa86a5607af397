/** What both model endpoints share: loopback listening, the per-session key, capped bodies and errors in the vendor's shape. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

export type ModelErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'not_found_error'
  | 'request_too_large'
  | 'overloaded_error'
  | 'timeout_error'
  | 'api_error';

/** Answers with the vendor's error body, so that a CLI shows it as it shows the real API's; after headers only the connection is left to close. */
export function sendModelError(response: ServerResponse, status: number, type: ModelErrorType, message: string): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = JSON.stringify({ type: 'error', error: { type, message } });
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

export function sendJson(response: ServerResponse, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Whether the request carries the session's key, as `x-api-key` or as a bearer token; compared in constant time. */
export function carriesKey(request: IncomingMessage, key: string): boolean {
  const header = request.headers['x-api-key'];
  const bearer = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const presented = typeof header === 'string' ? header : bearer;
  return presented !== undefined && timingSafeEqual(digest(presented), digest(key));
}

export type BodyResult = { kind: 'body'; bytes: Buffer } | { kind: 'too_large' } | { kind: 'aborted' };

/** Reads a whole body of at most `maxBytes`; what comes beyond is thrown away unread into memory. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<BodyResult> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
    request.resume();
    return { kind: 'too_large' };
  }
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of request) {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) {
        request.resume();
        return { kind: 'too_large' };
      }
      chunks.push(chunk);
    }
  } catch {
    // The caller hung up while sending: there is nobody left to answer.
    return { kind: 'aborted' };
  }
  return { kind: 'body', bytes: Buffer.concat(chunks) };
}

/**
 * Listens on `port` of 127.0.0.1 (0: a free one) and resolves with the address, `http://127.0.0.1:<port>`; rejects with EADDRINUSE
 * where somebody else has it.
 */
export async function listenOnLoopback(server: Server, port = 0): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a loopback server has no port');
  return `http://127.0.0.1:${address.port}`;
}

/** What a session that is held answers: CLIs wait and ask again. */
export const sendHeld = (response: ServerResponse): void =>
  sendModelError(response, 529, 'overloaded_error', 'The session is held; the call may be repeated');

/** Closes the server with every connection, also those in the middle of an answer. */
export const closeServer = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
