/** HTTP API events, payload format 2.0, for integrations and for REQUEST authorizers. */
import type { IncomingMessage } from 'node:http';
import { ACCOUNT_ID, REGION } from '../lambda/identity.ts';
import type { RouteMatch } from './http-routes.ts';
import { commonLogTime, headerPairs, joinedValues, sourceIpOf, type Target } from './request-fields.ts';

export const HTTP_API_ID = 'http';
const STAGE = '$default';

/** One request, as far as events need it. */
export interface HttpCall {
  readonly request: IncomingMessage;
  readonly target: Target;
  readonly match: RouteMatch;
  readonly requestId: string;
  readonly timeMs: number;
  readonly domainName: string;
  /** Headers that the edge sets, whatever the client sent. */
  readonly forcedHeaders: Readonly<Record<string, string>>;
}

function commonFields({ request, target, match, requestId, timeMs, domainName, forcedHeaders }: HttpCall) {
  const pairs = headerPairs(request, forcedHeaders).map(([name, value]) => [name.toLowerCase(), value] as const);
  const cookies = pairs
    .filter(([name]) => name === 'cookie')
    .flatMap(([, value]) => value.split(';').map((cookie) => cookie.trim()))
    .filter((cookie) => cookie !== '');
  const query = joinedValues(new URLSearchParams(target.query));
  return {
    version: '2.0',
    routeKey: match.routeKey,
    rawPath: target.path,
    rawQueryString: target.query,
    ...(cookies.length > 0 ? { cookies } : {}),
    headers: joinedValues(pairs.filter(([name]) => name !== 'cookie')),
    ...(target.query === '' ? {} : { queryStringParameters: query }),
    requestContext: {
      accountId: ACCOUNT_ID,
      apiId: HTTP_API_ID,
      domainName,
      domainPrefix: HTTP_API_ID,
      http: {
        method: request.method ?? 'GET',
        path: target.path,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: sourceIpOf(request),
        userAgent: request.headers['user-agent'] ?? '',
      },
      requestId,
      routeKey: match.routeKey,
      stage: STAGE,
      time: commonLogTime(timeMs),
      timeEpoch: timeMs,
    },
    ...(Object.keys(match.pathParameters).length > 0 ? { pathParameters: match.pathParameters } : {}),
  };
}

/** The event of a Lambda authorizer with simple responses. */
export function authorizerEvent(call: HttpCall): Record<string, unknown> {
  const method = call.request.method ?? 'GET';
  return {
    ...commonFields(call),
    type: 'REQUEST',
    routeArn: `arn:aws:execute-api:${REGION}:${ACCOUNT_ID}:${HTTP_API_ID}/${STAGE}/${method}${call.target.path}`,
    identitySource: [],
  };
}

const TEXT_TYPE = /^(?:text\/|application\/(?:[\w.+-]+\+)?(?:json|xml|javascript)\b)/i;

/** The event of the integration; bodies that are not text travel as base64. */
export function integrationEvent(
  call: HttpCall,
  body: Buffer,
  authorizer: Readonly<Record<string, unknown>> | null,
): Record<string, unknown> {
  const fields = commonFields(call);
  const isBase64Encoded = body.length > 0 && !TEXT_TYPE.test(call.request.headers['content-type'] ?? '');
  return {
    ...fields,
    requestContext: {
      ...fields.requestContext,
      ...(authorizer === null ? {} : { authorizer: { lambda: authorizer } }),
    },
    ...(body.length === 0 ? {} : { body: body.toString(isBase64Encoded ? 'base64' : 'utf8') }),
    isBase64Encoded,
  };
}
