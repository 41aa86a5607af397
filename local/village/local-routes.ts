/** What only the local platform has behind the gateway's port: `POST /local/builds`, for the command line's token alone. */
import { randomUUID, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import type { ErrorCode } from '../../shared/errors.ts';
import { BuildSpec } from '../../shared/releases.ts';
import type { AddBuildResult } from './builds.ts';

const BODY_MAX_BYTES = 4_096;
const Body = z.strictObject({ spec: BuildSpec });

export interface LocalRoutesOptions {
  /** The token of endpoint.json; until it is known every call is refused. */
  readonly token: () => string | undefined;
  readonly addBuild: (spec: string, onProgress: (line: string) => void) => Promise<AddBuildResult>;
  readonly warn: (message: string) => void;
}
/** Takes a request when the path is one of ours; undefined when it is not. */
export type LocalRoutes = (
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
) => Promise<void> | undefined;

const refuse = (response: ServerResponse, status: number, code: ErrorCode, message: string): void => {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify({ code, message, requestId: randomUUID() }));
};

const isBearer = (request: IncomingMessage, token: string | undefined): boolean => {
  const given = Buffer.from(request.headers.authorization ?? '');
  const wanted = Buffer.from(`Bearer ${token ?? ''}`);
  return token !== undefined && given.length === wanted.length && timingSafeEqual(given, wanted);
};

const readSpec = async (request: IncomingMessage): Promise<string | undefined> => {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > BODY_MAX_BYTES) return undefined;
    chunks.push(chunk);
  }
  try {
    return Body.parse(JSON.parse(Buffer.concat(chunks).toString('utf8'))).spec;
  } catch {
    return undefined; // Not JSON or not a spec: answered as one thing.
  }
};

const addBuild = async (options: LocalRoutesOptions, request: IncomingMessage, response: ServerResponse) => {
  // Programs send no Origin: a page that got hold of the token still installs nothing.
  if (request.headers.origin !== undefined || !isBearer(request, options.token()))
    return refuse(response, 401, 'not_signed_in', 'Builds are added on the command line: npx village builds add.');
  const spec = await readSpec(request);
  if (spec === undefined)
    return refuse(
      response,
      400,
      'invalid_request',
      'Expected {"spec":"provider@version"}, such as claude_code@2.1.330.',
    );
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  const line = (value: unknown) => response.write(`${JSON.stringify(value)}\n`);
  try {
    const result = await options.addBuild(spec, (message) => line({ kind: 'progress', message }));
    if (result.kind === 'added') line({ kind: 'result', build: result.build });
    else line({ kind: 'error', code: result.code, message: result.message });
  } catch (error) {
    const requestId = randomUUID();
    options.warn(`builds: ${spec} failed (${requestId}): ${error instanceof Error ? error.stack : String(error)}`);
    line({ kind: 'error', code: 'internal', message: 'The build could not be registered.', requestId });
  }
  response.end();
};

export const createLocalRoutes =
  (options: LocalRoutesOptions): LocalRoutes =>
  (request, response, path) => {
    if (path !== '/local' && !path.startsWith('/local/')) return undefined;
    if (path === '/local/builds' && request.method === 'POST') return addBuild(options, request, response);
    refuse(response, 404, 'not_found', 'There is nothing here.');
    return Promise.resolve();
  };
