/** Authorizer of the viewer WebSocket: redeems the ticket that came as a subprotocol, once. */
import type { APIGatewayRequestAuthorizerEvent } from 'aws-lambda';
import { TICKET_SUBPROTOCOL_PREFIX } from '../../shared/frames.ts';
import { platform } from '../aws/platform.ts';
import { allow, cameThroughEdge, deny, headerOf } from '../middleware/authorize.ts';
import { observed } from '../middleware/observe.ts';
import { redeemTicket } from '../tenants/sign-in.ts';

export const handler = observed(async (event: APIGatewayRequestAuthorizerEvent) => {
  const { env, edgeSecret, tenants } = platform();
  const edge = await edgeSecret();
  const protocols = (headerOf(event.headers, 'sec-websocket-protocol') ?? '').split(/\s*,\s*/);
  const ticket = protocols
    .find((protocol) => protocol.startsWith(TICKET_SUBPROTOCOL_PREFIX))
    ?.slice(TICKET_SUBPROTOCOL_PREFIX.length);
  if (ticket === undefined || !cameThroughEdge(event.headers, edge)) return deny(event.methodArn);
  const who = await redeemTicket({ tenants }, ticket, headerOf(event.headers, 'origin'), env.ALLOWED_ORIGINS);
  return who === null ? deny(event.methodArn) : allow(who.userId, event.methodArn, who);
});
