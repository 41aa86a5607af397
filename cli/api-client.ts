/** The HTTP API as commands call it: answers are parsed, errors keep their code and request id. */
import { z } from 'zod';
import { CliError } from './cli-error.ts';
import type { Endpoint } from './endpoint.ts';

const ErrorAnswer = z.looseObject({
  code: z.string(),
  message: z.string(),
  requestId: z.string().optional(),
  path: z.string().optional(),
});
const REQUEST_TIMEOUT_MS = 60_000;

export interface ApiClient {
  readonly endpoint: Endpoint;
  get<S extends z.ZodType>(path: string, schema: S): Promise<z.infer<S>>;
  post<S extends z.ZodType>(
    path: string,
    body: unknown,
    schema: S,
    headers?: Readonly<Record<string, string>>,
  ): Promise<z.infer<S>>;
  delete<S extends z.ZodType>(path: string, schema: S): Promise<z.infer<S>>;
  /** The raw answer, for streams; a non-2xx answer throws as with the others. */
  open(method: 'GET' | 'POST', path: string, body?: unknown, signal?: AbortSignal): Promise<Response>;
}

const failure = async (response: Response): Promise<CliError> => {
  const text = await response.text();
  try {
    const { code, message, requestId, path } = ErrorAnswer.parse(JSON.parse(text));
    return new CliError(code, path === undefined ? message : `${path}: ${message}`, requestId ?? null);
  } catch {
    // Not our error shape (a proxy, or the gateway itself): its status says enough.
    return new CliError(
      response.status === 404
        ? 'not_found'
        : response.status === 401 || response.status === 403
          ? 'forbidden'
          : 'failed',
      response.status === 401 || response.status === 403
        ? 'The village does not accept this token: take the one of its endpoint.json, or leave VILLAGE_TOKEN out.'
        : `The village answered ${response.status}: ${text.slice(0, 300) || response.statusText}`,
      response.headers.get('x-request-id') ?? response.headers.get('apigw-requestid'),
    );
  }
};

export const createApiClient = (endpoint: Endpoint): ApiClient => {
  const send = async (
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body: unknown,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Response> => {
    try {
      return await fetch(`${endpoint.url}${path}`, {
        method,
        signal,
        headers: {
          authorization: `Bearer ${endpoint.token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
      throw new CliError('unreachable', `No village answers at ${endpoint.url} (${why}): is it running?`);
    }
  };
  const open: ApiClient['open'] = async (method, path, body, signal) => {
    const response = await send(method, path, body, {}, signal ?? AbortSignal.timeout(REQUEST_TIMEOUT_MS));
    if (!response.ok) throw await failure(response);
    return response;
  };
  const call = async <S extends z.ZodType>(
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    body: unknown,
    schema: S,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<z.infer<S>> => {
    const response = await send(method, path, body, headers, AbortSignal.timeout(REQUEST_TIMEOUT_MS));
    if (!response.ok) throw await failure(response);
    const parsed = schema.safeParse(await response.json().catch(() => undefined));
    if (!parsed.success)
      throw new CliError(
        'bad_answer',
        `${method} ${path} was answered in another shape: ${z.prettifyError(parsed.error)}`,
      );
    return parsed.data;
  };
  return {
    endpoint,
    open,
    get: (path, schema) => call('GET', path, undefined, schema),
    post: (path, body, schema, headers) => call('POST', path, body, schema, headers),
    delete: (path, schema) => call('DELETE', path, undefined, schema),
  };
};
