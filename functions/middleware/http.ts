/** HTTP API events to use-cases and back: body and query parsed, every AppError mapped once. */
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2, Context } from 'aws-lambda';
import type { z } from 'zod';
import { AppError, type ErrorBody } from '../../shared/errors.ts';
import { HTTP_BODY_MAX_BYTES } from '../../shared/limits.ts';
import { cameThroughEdge, headerOf } from './authorize.ts';
import { countMetric, logUnexpected, observed } from './observe.ts';

export type AuthorizerContext = Readonly<Record<string, string | number | boolean | undefined>>;
export type HttpEvent = APIGatewayProxyEventV2 & {
  requestContext: { authorizer?: { lambda?: AuthorizerContext | null } };
};

export interface HttpRequest<Body, Query> {
  readonly body: Body;
  readonly query: Query;
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly authorizer: AuthorizerContext;
  readonly requestId: string;
}
export interface HttpAnswer {
  readonly status?: number;
  readonly body: unknown;
  readonly cookies?: readonly string[];
  /** Where a redirect leads. */
  readonly location?: string;
}
export interface HttpRoute<Body = unknown, Query = unknown> {
  readonly body?: z.ZodType<Body>;
  readonly query?: z.ZodType<Query>;
  readonly run: (request: HttpRequest<Body, Query>) => Promise<HttpAnswer>;
}

/** Keeps the types of one route together; the table of routes forgets them. */
export const route = <Body = undefined, Query = undefined>(definition: HttpRoute<Body, Query>): HttpRoute =>
  definition as unknown as HttpRoute;

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' };

const parsed = <T>(schema: z.ZodType<T>, value: unknown): T => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  /** Of fields that are not known the first is named, so that a typing error is found. */
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  const path = [...(issue?.path ?? []), ...unknown].join('.');
  throw new AppError('invalid_request', `${path === '' ? 'body' : path}: ${issue?.message ?? 'does not fit'}`, {
    path,
  });
};

const bodyOf = (event: HttpEvent): unknown => {
  const raw = event.body ?? '';
  const text = event.isBase64Encoded ? Buffer.from(raw, 'base64').toString('utf8') : raw;
  if (Buffer.byteLength(text) > HTTP_BODY_MAX_BYTES)
    throw new AppError('payload_too_large', `The body is larger than ${HTTP_BODY_MAX_BYTES} bytes.`);
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError('invalid_json', 'The body is not JSON.', { cause: error });
  }
};

const answer = (status: number, { body, cookies, location }: HttpAnswer): APIGatewayProxyStructuredResultV2 => ({
  statusCode: status,
  headers: { ...JSON_HEADERS, ...(location === undefined ? {} : { location }) },
  body: JSON.stringify(body),
  ...(cookies === undefined ? {} : { cookies: [...cookies] }),
});

const failure = (error: unknown, context: Context): APIGatewayProxyStructuredResultV2 => {
  const requestId = context.awsRequestId;
  if (error instanceof AppError) {
    const body: ErrorBody = {
      code: error.code,
      message: error.message,
      requestId,
      ...(error.path === undefined ? {} : { path: error.path }),
    };
    return answer(error.status, { body });
  }
  logUnexpected(error, context);
  countMetric('requestsFailed');
  const body: ErrorBody = {
    code: 'internal',
    message: 'Something went wrong on our side: try again, and name the request id if it stays.',
    requestId,
  };
  return answer(500, { body });
};

export interface HttpTable {
  readonly routes: Readonly<Record<string, HttpRoute>>;
  /** Secret that our own edge adds; `null` where none stands in front. Routes without an authorizer rest on this check alone. */
  readonly edgeSecret: () => Promise<string | null>;
  /** Origins of our own page: no other page changes anything with the cookie of a person. */
  readonly allowedOrigins: readonly string[];
}

/**
 * Refuses what another page makes a browser send. SameSite alone does not: a page on another port of this machine is the same
 * site. A cookie needs a proof of its origin; open routes are for programs too, which send none. Asked per request, since the
 * authorizer's answer is cached.
 */
const checkOrigin = (event: HttpEvent, allowedOrigins: readonly string[]): void => {
  if (event.requestContext.http.method === 'GET') return;
  const authorizer = event.requestContext.authorizer?.lambda;
  const origin = headerOf(event.headers, 'origin');
  const isCookie = authorizer?.client === 'browser';
  const isOpenFromPage = (authorizer === undefined || authorizer === null) && origin !== undefined;
  if (!isCookie && !isOpenFromPage) return;
  const isOurs =
    origin === undefined
      ? headerOf(event.headers, 'sec-fetch-site') === 'same-origin'
      : allowedOrigins.includes(origin);
  if (!isOurs)
    throw new AppError('origin_not_allowed', 'Use the page of the village itself: this one may not ask that.');
  const contentType = headerOf(event.headers, 'content-type') ?? '';
  if ((event.body ?? '') !== '' && !/^application\/json\s*(;|$)/i.test(contentType))
    throw new AppError('invalid_request', 'Send the body as application/json.', { path: 'content-type' });
};

const serve = async (
  { routes, edgeSecret, allowedOrigins }: HttpTable,
  event: HttpEvent,
  context: Context,
): Promise<APIGatewayProxyStructuredResultV2> => {
  try {
    if (!cameThroughEdge(event.headers, await edgeSecret()))
      throw new AppError('forbidden', 'Use the public address of the village.');
    checkOrigin(event, allowedOrigins);
    const found = routes[event.routeKey];
    if (found === undefined) throw new AppError('not_found', 'There is no such path.');
    const result = await found.run({
      body: found.body === undefined ? undefined : parsed(found.body, bodyOf(event)),
      query: found.query === undefined ? undefined : parsed(found.query, event.queryStringParameters ?? {}),
      params: event.pathParameters ?? {},
      headers: event.headers,
      authorizer: event.requestContext.authorizer?.lambda ?? {},
      requestId: context.awsRequestId,
    });
    return answer(result.status ?? 200, result);
  } catch (error) {
    return failure(error, context);
  }
};

/** One Lambda for a table of routes, keyed as API Gateway names them (`GET /api/sessions/{id}`). */
export const httpEntry = (table: () => HttpTable) =>
  observed((event: HttpEvent, context: Context) => serve(table(), event, context));
