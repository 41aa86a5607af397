/** Answers of Lambda authorizers, and the one check that a request came through our own edge. */
import { timingSafeEqual } from 'node:crypto';
import type { APIGatewayAuthorizerResult } from 'aws-lambda';

export const ORIGIN_SECRET_HEADER = 'x-origin-secret';

type Headers = Readonly<Record<string, string | undefined>> | undefined | null;

/** Header names arrive in any case on WebSocket APIs. */
export const headerOf = (headers: Headers, name: string): string | undefined =>
  Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];

/** @param secret `null` where no edge stands in front (one machine) */
export const cameThroughEdge = (headers: Headers, secret: string | null): boolean => {
  if (secret === null) return true;
  const sent = Buffer.from(headerOf(headers, ORIGIN_SECRET_HEADER) ?? '');
  const wanted = Buffer.from(secret);
  return wanted.length > 0 && sent.length === wanted.length && timingSafeEqual(sent, wanted);
};

const policy = (
  effect: 'Allow' | 'Deny',
  principalId: string,
  methodArn: string,
  context: Record<string, string | number>,
): APIGatewayAuthorizerResult => ({
  principalId,
  policyDocument: {
    Version: '2012-10-17',
    Statement: [{ Action: 'execute-api:Invoke', Effect: effect, Resource: methodArn }],
  },
  context,
});
export const allow = (principalId: string, methodArn: string, context: Record<string, string | number>) =>
  policy('Allow', principalId, methodArn, context);
export const deny = (methodArn: string) => policy('Deny', 'nobody', methodArn, {});
