/** Reads a WebSocket REQUEST authorizer's answer: an IAM policy and the context that later messages carry. */
import { z } from 'zod';
import type { InvokeResult } from '../lambda/types.ts';

const oneOrMore = z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat());
const Statement = z.object({ Effect: z.enum(['Allow', 'Deny']), Action: oneOrMore, Resource: oneOrMore });
const PolicyAnswer = z.object({
  principalId: z.string().min(1),
  policyDocument: z.object({
    Statement: z.union([Statement, z.array(Statement)]).transform((value) => [value].flat()),
  }),
  context: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).nullish(),
});

export type AuthorizerDecision =
  | { readonly allowed: true; readonly context: Readonly<Record<string, string>> }
  | { readonly allowed: false; readonly status: 401 | 403 | 500; readonly message: string };

/** IAM wildcards: `*` any run, `?` one character. */
function matches(pattern: string, value: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`).test(value);
}

const ACTION = 'execute-api:Invoke';
const BROKEN: AuthorizerDecision = { allowed: false, status: 500, message: 'Internal server error' };

/** 401 for a thrown `Unauthorized`, 403 for a policy without Allow or with Deny, 500 for any other failure or a misfit. */
export function authorizerDecision(
  result: InvokeResult,
  methodArn: string,
  contextMaxBytes: number,
): AuthorizerDecision {
  if (!result.ok)
    return result.message === 'Unauthorized' ? { allowed: false, status: 401, message: 'Unauthorized' } : BROKEN;
  const answer = PolicyAnswer.safeParse(result.payload);
  if (!answer.success) return BROKEN;
  const { principalId, policyDocument, context } = answer.data;
  const effects = policyDocument.Statement.filter(
    (statement) =>
      statement.Action.some((action) => matches(action, ACTION)) &&
      statement.Resource.some((resource) => matches(resource, methodArn)),
  ).map((statement) => statement.Effect);
  if (effects.includes('Deny') || !effects.includes('Allow'))
    return { allowed: false, status: 403, message: 'User is not authorized to access this resource' };
  // Numbers and booleans reach integrations as strings, as in REST APIs.
  const strings = Object.fromEntries(Object.entries(context ?? {}).map(([name, value]) => [name, String(value)]));
  if (Buffer.byteLength(JSON.stringify(strings)) > contextMaxBytes) return BROKEN;
  return { allowed: true, context: { ...strings, principalId } };
}
