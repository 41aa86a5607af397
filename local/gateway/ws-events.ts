/** Lambda proxy events of WebSocket APIs: connect, message, disconnect, and the REQUEST authorizer's. */
import type { IncomingMessage } from 'node:http';
import type { Random } from '../../shared/clock.ts';
import { ACCOUNT_ID, REGION } from '../lambda/identity.ts';
import type { ConnectionInfo } from './connection.ts';
import { commonLogTime, gatewayId, headerPairs, lastValues, multiValues, targetOf } from './request-fields.ts';

/** The stage of every WebSocket API here. */
export const STAGE = 'live';

export interface EventScope {
  readonly apiId: string;
  readonly domainName: string;
  readonly nowMs: number;
  readonly random: Random;
}

type Fields = Readonly<Record<string, unknown>>;

function requestContext(scope: EventScope, info: ConnectionInfo, requestId: string, over: Fields): Fields {
  const authorized = Object.keys(info.authorizer).length > 0;
  return {
    requestId,
    extendedRequestId: requestId,
    requestTime: commonLogTime(scope.nowMs),
    requestTimeEpoch: scope.nowMs,
    messageDirection: 'IN',
    stage: STAGE,
    connectedAt: info.connectedAtMs,
    identity: { sourceIp: info.sourceIp, ...(info.userAgent === undefined ? {} : { userAgent: info.userAgent }) },
    domainName: scope.domainName,
    connectionId: info.id,
    apiId: scope.apiId,
    ...(authorized ? { authorizer: info.authorizer } : {}),
    ...over,
  };
}

export const connectArn = (apiId: string): string =>
  `arn:aws:execute-api:${REGION}:${ACCOUNT_ID}:${apiId}/${STAGE}/$connect`;

/** Fields of the upgrade request; header names keep the client's case. */
function upgradeFields(request: IncomingMessage, forcedHeaders: Readonly<Record<string, string>>): Fields {
  const pairs = headerPairs(request, forcedHeaders);
  const { query } = targetOf(request);
  const params = [...new URLSearchParams(query)];
  const queryFields = {
    queryStringParameters: lastValues(params),
    multiValueQueryStringParameters: multiValues(params),
  };
  return {
    headers: lastValues(pairs),
    multiValueHeaders: multiValues(pairs),
    ...(params.length === 0 ? {} : queryFields),
  };
}

/** The two events of one upgrade: the authorizer's, and $connect's with what the authorizer said. */
export function connectEvents(
  scope: EventScope,
  request: IncomingMessage,
  forcedHeaders: Readonly<Record<string, string>>,
  requestId: string,
) {
  const fields = upgradeFields(request, forcedHeaders);
  const kind = { routeKey: '$connect', eventType: 'CONNECT' };
  return {
    authorizer: (info: ConnectionInfo): Fields => ({
      type: 'REQUEST',
      methodArn: connectArn(scope.apiId),
      ...fields,
      stageVariables: {},
      requestContext: requestContext(scope, info, requestId, kind),
    }),
    connect: (info: ConnectionInfo): Fields => ({
      ...fields,
      requestContext: requestContext(scope, info, requestId, kind),
      isBase64Encoded: false,
    }),
  };
}

export function messageEvent(
  scope: EventScope,
  info: ConnectionInfo,
  message: { readonly routeKey: string; readonly text: string; readonly requestId: string },
): Fields {
  const { routeKey, text, requestId } = message;
  return {
    requestContext: requestContext(scope, info, requestId, { routeKey, eventType: 'MESSAGE', messageId: requestId }),
    body: text,
    isBase64Encoded: false,
  };
}

export function disconnectEvent(scope: EventScope, info: ConnectionInfo, code: number, reason: string): Fields {
  const headers = { Host: scope.domainName, 'x-api-key': '', 'X-Forwarded-For': '' };
  return {
    headers,
    multiValueHeaders: multiValues(Object.entries(headers)),
    requestContext: requestContext(scope, info, gatewayId(scope.random), {
      routeKey: '$disconnect',
      eventType: 'DISCONNECT',
      disconnectStatusCode: code,
      disconnectReason: reason,
    }),
    isBase64Encoded: false,
  };
}
