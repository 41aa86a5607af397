/** Authorizer of the runner WebSocket: exchanges the presented credential for the one the runner will use next. */
import type { APIGatewayRequestAuthorizerEvent } from 'aws-lambda';
import { NEXT_CREDENTIAL_HEADER } from '../../shared/frames.ts';
import { platform } from '../aws/platform.ts';
import { allow, cameThroughEdge, deny, headerOf } from '../middleware/authorize.ts';
import { observed } from '../middleware/observe.ts';
import { exchangeCredential } from '../runners/runner-credentials.ts';

export const handler = observed(async (event: APIGatewayRequestAuthorizerEvent) => {
  const { edgeSecret, db, clock } = platform();
  const edge = await edgeSecret();
  const bearer = /^Bearer (.+)$/.exec(headerOf(event.headers, 'authorization') ?? '')?.[1];
  const next = headerOf(event.headers, NEXT_CREDENTIAL_HEADER);
  if (bearer === undefined || next === undefined || !cameThroughEdge(event.headers, edge)) return deny(event.methodArn);
  const principal = await exchangeCredential({ db, clock }, bearer, next);
  if (principal === null) return deny(event.methodArn);
  const name = principal.kind === 'session' ? principal.sessionId : principal.runnerId;
  return allow(name, event.methodArn, { ...principal });
});
