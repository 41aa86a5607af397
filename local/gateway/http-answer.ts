/** What API Gateway makes of a Lambda's answer to an HTTP request. */
import type { ServerResponse } from 'node:http';
import { z } from 'zod';

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const LambdaAnswer = z.object({
  statusCode: z.int().min(200).max(599),
  headers: z.record(z.string(), scalar).nullish(),
  cookies: z.array(z.string()).nullish(),
  body: z.string().nullish(),
  isBase64Encoded: z.boolean().nullish(),
});

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly cookies: readonly string[];
  readonly body: Buffer;
}

/** `{"message": …}`, the form of all of API Gateway's own answers. */
export const gatewayAnswer = (status: number, message: string): HttpAnswer => ({
  status,
  headers: { 'content-type': 'application/json' },
  cookies: [],
  body: Buffer.from(JSON.stringify({ message })),
});

/** Payload format 2.0: an answer without statusCode is itself the JSON body; one that does not fit is null (a 500). */
export function httpAnswerOf(payload: unknown): HttpAnswer | null {
  const bare = typeof payload !== 'object' || payload === null || !('statusCode' in payload);
  if (bare) {
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
    return { status: 200, headers: { 'content-type': 'application/json' }, cookies: [], body: Buffer.from(body) };
  }
  const parsed = LambdaAnswer.safeParse(payload);
  if (!parsed.success) return null;
  const { statusCode, headers, cookies, body, isBase64Encoded } = parsed.data;
  const named = Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]);
  return {
    status: statusCode,
    headers: { 'content-type': 'text/plain; charset=utf-8', ...Object.fromEntries(named) },
    cookies: cookies ?? [],
    body: Buffer.from(body ?? '', isBase64Encoded ? 'base64' : 'utf8'),
  };
}

/** Headers that only the connection may set: a Lambda's would break the framing. */
const CONNECTION_HEADERS = new Set(['connection', 'content-length', 'keep-alive', 'transfer-encoding', 'upgrade']);

/** Writes the answer; a header that cannot be written makes it a 500, as the caller must not be left hanging. */
export function writeAnswer(response: ServerResponse, answer: HttpAnswer, requestId: string) {
  try {
    for (const [name, value] of Object.entries(answer.headers))
      if (!CONNECTION_HEADERS.has(name)) response.setHeader(name, value);
    if (answer.cookies.length > 0) response.setHeader('set-cookie', answer.cookies);
    response.statusCode = answer.status;
  } catch {
    // Only a header name or value outside HTTP's alphabet throws here.
    for (const name of response.getHeaderNames()) response.removeHeader(name);
    return writeAnswer(response, gatewayAnswer(500, 'Internal Server Error'), requestId);
  }
  response.setHeader('apigw-requestid', requestId);
  const bodiless = answer.status === 204 || answer.status === 304;
  if (!bodiless) response.setHeader('content-length', answer.body.length);
  response.end(bodiless ? undefined : answer.body);
}
