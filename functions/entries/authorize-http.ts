/** Authorizer of the HTTP API: a signed session, by cookie for the page and by bearer for programs. */
import type { APIGatewayRequestAuthorizerEventV2 } from 'aws-lambda';
import { AppError } from '../../shared/errors.ts';
import { SESSION_COOKIE } from '../../shared/http.ts';
import { platform } from '../aws/platform.ts';
import { cameThroughEdge, headerOf } from '../middleware/authorize.ts';
import { observed } from '../middleware/observe.ts';

const tokenOf = (event: APIGatewayRequestAuthorizerEventV2): { token: string; client: 'browser' | 'cli' } | null => {
  const bearer = /^Bearer (.+)$/.exec(headerOf(event.headers, 'authorization') ?? '')?.[1];
  if (bearer !== undefined) return { token: bearer, client: 'cli' };
  const cookies = event.cookies ?? headerOf(event.headers, 'cookie')?.split(/;\s*/) ?? [];
  const cookie = cookies.find((entry) => entry.startsWith(`${SESSION_COOKIE}=`))?.slice(SESSION_COOKIE.length + 1);
  return cookie === undefined || cookie === '' ? null : { token: cookie, client: 'browser' };
};

export const handler = observed(async (event: APIGatewayRequestAuthorizerEventV2) => {
  const { edgeSecret, signer } = platform();
  const edge = await edgeSecret();
  const presented = tokenOf(event);
  if (presented === null || !cameThroughEdge(event.headers, edge)) return { isAuthorized: false };
  try {
    const { tenantId, userId, expSec, client, kind } = await signer.verify('user', presented.token);
    /** A cookie's token is no bearer and a bearer's no cookie: one that leaked cannot change its trade. */
    if (client !== presented.client) return { isAuthorized: false };
    return { isAuthorized: true, context: { kind, tenantId, userId, expSec, client } };
  } catch (error) {
    if (error instanceof AppError) return { isAuthorized: false };
    throw error;
  }
});
