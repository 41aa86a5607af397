/**
 * A runner's bearer credential: `<kind>.<scope>.<secret>`. Each dial presents the current one and the hash of the next, so that a lost
 * answer can be retried and a replayed credential is refused. `rt` is bound to one epoch of one session, `rr` to a customer-hosted
 * runner of a tenant, `rw` to an idle runner of the warm pool, which belongs to no tenant until it is claimed.
 */
import { z } from 'zod';
import { Epoch, RunnerId, SessionId, TenantId } from './ids.ts';

export const RunnerScope = z.strictObject({ tenantId: TenantId, sessionId: SessionId, epoch: Epoch });
export type RunnerScope = z.infer<typeof RunnerScope>;

export const RunnerPrincipal = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('session'), ...RunnerScope.shape }),
  z.strictObject({ kind: z.literal('group'), tenantId: TenantId, runnerId: RunnerId }),
  z.strictObject({ kind: z.literal('warm'), runnerId: RunnerId }),
]);
export type RunnerPrincipal = z.infer<typeof RunnerPrincipal>;

const SECRET_MIN_CHARS = 32;

const scopeText = (principal: RunnerPrincipal): string => {
  switch (principal.kind) {
    case 'session':
      return `rt.${principal.tenantId}.${principal.sessionId}.${principal.epoch}`;
    case 'group':
      return `rr.${principal.tenantId}.${principal.runnerId}`;
    case 'warm':
      return `rw.${principal.runnerId}`;
  }
};

export const formatRunnerCredential = (principal: RunnerPrincipal, secret: string): string =>
  `${scopeText(principal)}.${secret}`;

/** Runner ids may hold dots, so the fields are taken from both ends. */
const principalOf = (fields: readonly string[]): unknown => {
  const [kind, first = '', ...rest] = fields;
  if (kind === 'rt' && rest.length === 2)
    return { kind: 'session', tenantId: first, sessionId: rest[0], epoch: Number(rest[1]) };
  if (kind === 'rr' && rest.length > 0) return { kind: 'group', tenantId: first, runnerId: rest.join('.') };
  if (kind === 'rw') return { kind: 'warm', runnerId: [first, ...rest].join('.') };
  return null;
};

/** @returns `null` for anything that is not such a credential */
export const parseRunnerCredential = (credential: string): { principal: RunnerPrincipal; secret: string } | null => {
  const fields = credential.split('.');
  const secret = fields.pop() ?? '';
  if (secret.length < SECRET_MIN_CHARS) return null;
  const principal = RunnerPrincipal.safeParse(principalOf(fields));
  return principal.success ? { principal: principal.data, secret } : null;
};

/** The credential that follows `credential` in the same scope. */
export const nextRunnerCredential = (credential: string, secretHex: string): string =>
  `${credential.slice(0, credential.lastIndexOf('.'))}.${secretHex}`;
