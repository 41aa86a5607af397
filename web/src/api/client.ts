/** HTTP as the page speaks it: same origin, cookie, every answer parsed by its schema. */
import { z } from 'zod';
import { ERROR_CODES } from '../../../shared/errors.ts';

const codes = Object.keys(ERROR_CODES) as (keyof typeof ERROR_CODES)[];
const ErrorAnswer = z.object({
  code: z.enum(codes),
  message: z.string(),
  requestId: z.string().default(''),
  path: z.string().optional(),
});

export type ApiErrorCode = (typeof codes)[number] | 'unreachable' | 'unreadable';

/** What went wrong, in words for the person; `path` names the field of a refused body. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ApiErrorCode;
  readonly status: number;
  readonly path: string | undefined;
  readonly requestId: string;

  constructor(code: ApiErrorCode, status: number, message: string, extra: { path?: string; requestId?: string } = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.path = extra.path;
    this.requestId = extra.requestId ?? '';
  }
}

export const isSignedOut = (error: unknown): boolean => error instanceof ApiError && error.status === 401;

interface Call {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** After this long without an answer it counts as unreachable. */
  readonly deadlineMs?: number;
}

/** A request on a connection that died silently would wait for minutes, and a browser opens only six: each one is given up. */
const DEADLINE_MS = 10_000;

/** Throws ApiError; resolves with what `schema` made of the answer. */
export const call = async <T>(path: string, schema: z.ZodType<T>, options: Call = {}): Promise<T> => {
  const response = await send(path, options);
  const json: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw errorOf(response, json);
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new ApiError(
    'unreadable',
    response.status,
    `The answer of ${path} does not fit this page (${issue?.path.join('.')}: ${issue?.message}). Reload the page.`,
  );
};

const send = async (
  path: string,
  { method = 'GET', body, headers = {}, signal, deadlineMs = DEADLINE_MS }: Call,
): Promise<Response> => {
  const deadline = AbortSignal.timeout(deadlineMs);
  try {
    return await fetch(path, {
      method,
      credentials: 'same-origin',
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]),
    });
  } catch (cause) {
    if (signal?.aborted === true) throw cause;
    throw new ApiError('unreachable', 0, 'The village does not answer. Is it still running?');
  }
};

const errorOf = (response: Response, json: unknown): ApiError => {
  const parsed = ErrorAnswer.safeParse(json);
  if (parsed.success) {
    const { code, message, requestId, path } = parsed.data;
    return new ApiError(code, response.status, message, { requestId, ...(path === undefined ? {} : { path }) });
  }
  const code = response.status === 401 ? 'not_signed_in' : 'internal';
  return new ApiError(code, response.status, `The village answered ${response.status} ${response.statusText}`.trim());
};
