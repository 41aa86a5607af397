/** The HTTP API: route, authorizer, integration, and API Gateway's own answers where one of them fails. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import type { HttpRoute } from '../../infra/topology.ts';
import type { Clock, Random } from '../../shared/clock.ts';
import type { LambdaInvoker } from '../lambda/types.ts';
import { withDeadline } from './deadline.ts';
import { gatewayAnswer, type HttpAnswer, httpAnswerOf, writeAnswer } from './http-answer.ts';
import { authorizerEvent, type HttpCall, integrationEvent } from './http-event.ts';
import { compileRoutes } from './http-routes.ts';
import type { GatewayQuotas } from './quotas.ts';
import { readBody } from './read-body.ts';
import { gatewayId, targetOf } from './request-fields.ts';
import type { TokenBucket } from './token-bucket.ts';

export interface HttpApiOptions {
  readonly routes: readonly HttpRoute[];
  readonly lambda: LambdaInvoker;
  readonly clock: Clock;
  readonly random: Random;
  readonly quotas: GatewayQuotas;
  /** Shared with WebSocket and @connections: the quota is the account's. */
  readonly account: TokenBucket;
  readonly domainName: () => string;
  readonly forcedHeaders: Readonly<Record<string, string>>;
}

const SimpleResponse = z.object({
  isAuthorized: z.boolean(),
  context: z.record(z.string(), z.unknown()).nullish(),
});
type Context = Readonly<Record<string, unknown>>;
type Decision =
  | { readonly allowed: true; readonly context: Context | null }
  | { readonly allowed: false; readonly answer: HttpAnswer };

const INTERNAL = gatewayAnswer(500, 'Internal Server Error');

/** The authorizer's context, or the answer that refuses: 403 by its word, 401 for a thrown `Unauthorized`, else 500. */
async function authorize(call: HttpCall, name: string, options: HttpApiOptions): Promise<Decision> {
  const { lambda, clock, quotas } = options;
  const asked = lambda.invoke(name, authorizerEvent(call), { source: 'authorizer' });
  const result = await withDeadline(clock, quotas.httpIntegrationMs, asked);
  if (result === 'late') return { allowed: false, answer: INTERNAL };
  if (!result.ok)
    return {
      allowed: false,
      answer: result.message === 'Unauthorized' ? gatewayAnswer(401, 'Unauthorized') : INTERNAL,
    };
  const response = SimpleResponse.safeParse(result.payload);
  if (!response.success) return { allowed: false, answer: INTERNAL };
  if (!response.data.isAuthorized) return { allowed: false, answer: gatewayAnswer(403, 'Forbidden') };
  const context = response.data.context ?? {};
  if (Buffer.byteLength(JSON.stringify(context)) > quotas.authorizerContextMaxBytes)
    return { allowed: false, answer: INTERNAL };
  return { allowed: true, context };
}

async function integrate(call: HttpCall, body: Buffer, context: Context | null, options: HttpApiOptions) {
  const event = integrationEvent(call, body, context);
  const asked = options.lambda.invoke(call.match.route.function, event, { source: 'http' });
  const result = await withDeadline(options.clock, options.quotas.httpIntegrationMs, asked);
  if (result === 'late') return gatewayAnswer(503, 'Service Unavailable');
  // Lambda's own throttle shows as 503, its errors and time-outs as 500.
  if (!result.ok) return result.kind === 'throttled' ? gatewayAnswer(503, 'Service Unavailable') : INTERNAL;
  return httpAnswerOf(result.payload) ?? INTERNAL;
}

/** The handler of all requests that belong to the API. */
export function createHttpApi(
  options: HttpApiOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const findRoute = compileRoutes(options.routes);

  const answerOf = async (request: IncomingMessage, requestId: string): Promise<HttpAnswer | 'aborted'> => {
    if (!options.account.take()) return gatewayAnswer(429, 'Too Many Requests');
    const target = targetOf(request);
    const match = findRoute(request.method ?? 'GET', target.path);
    if (match === 'bad_path') return gatewayAnswer(400, 'Bad Request');
    if (match === 'not_found') return gatewayAnswer(404, 'Not Found');
    const body = await readBody(request, options.quotas.httpBodyMaxBytes);
    if (body === 'aborted') return 'aborted';
    if (body === 'too_large') return gatewayAnswer(413, 'Request Entity Too Large');
    const timeMs = options.clock.nowMs();
    const { forcedHeaders } = options;
    const call: HttpCall = {
      request,
      target,
      match,
      requestId,
      timeMs,
      domainName: options.domainName(),
      forcedHeaders,
    };
    const { authorizer } = match.route;
    const decision: Decision =
      authorizer === null ? { allowed: true, context: null } : await authorize(call, authorizer, options);
    return decision.allowed ? integrate(call, body, decision.context, options) : decision.answer;
  };

  return async (request, response) => {
    const requestId = gatewayId(options.random);
    const answer = await answerOf(request, requestId);
    if (answer !== 'aborted' && !response.destroyed) writeAnswer(response, answer, requestId);
  };
}
