/** Remembers client tokens for a day: a repeated RunTask gets the first answer's tasks, one with other parameters a conflict. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { EcsError } from './ecs-error.ts';
import { CLIENT_TOKEN_TTL_MS, CLIENT_TOKENS_MAX } from './ecs-limits.ts';
import type { RunTask } from './requests.ts';

export const ClientTokens = z.array(
  z.object({ token: z.string(), digest: z.string(), taskArns: z.array(z.string()), atMs: z.number() }),
);
export type ClientTokens = z.infer<typeof ClientTokens>;

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
};
const digestOf = (request: RunTask): string =>
  createHash('sha256')
    .update(JSON.stringify(sorted({ ...request, clientToken: undefined })))
    .digest('hex');

/** Tasks of an earlier call with this token, or undefined. Throws ConflictException when its parameters differ. */
export const tasksOfToken = (tokens: ClientTokens, request: RunTask, nowMs: number): readonly string[] | undefined => {
  const found = tokens.find((one) => one.token === request.clientToken && nowMs - one.atMs < CLIENT_TOKEN_TTL_MS);
  if (found === undefined) return undefined;
  if (found.digest !== digestOf(request))
    throw new EcsError(
      'ConflictException',
      'The RunTask request could not be processed due to conflicts: the clientToken was used with other parameters.',
    );
  return found.taskArns;
};

/** As if the call had never been: its answer was a failure. */
export const forgetToken = (tokens: ClientTokens, request: RunTask): void => {
  const kept = tokens.filter((one) => one.token !== request.clientToken);
  tokens.splice(0, tokens.length, ...kept);
};

/** Notes the tasks of this call under its token, and forgets what is too old or too many. */
export const rememberToken = (tokens: ClientTokens, request: RunTask, taskArns: string[], nowMs: number): void => {
  if (request.clientToken === undefined) return;
  const kept = tokens.filter((one) => nowMs - one.atMs < CLIENT_TOKEN_TTL_MS).slice(1 - CLIENT_TOKENS_MAX);
  tokens.splice(0, tokens.length, ...kept, {
    token: request.clientToken,
    digest: digestOf(request),
    taskArns,
    atMs: nowMs,
  });
};
