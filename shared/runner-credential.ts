/**
 * A runner's bearer credential: `<scope>.<secret>`, scope naming tenant, session and epoch. Each dial presents the current one and the
 * hash of the next, so that a lost answer can be retried and a replayed credential is refused.
 */
import { z } from 'zod';
import { Epoch, SessionId, TenantId } from './ids.ts';

export const RunnerScope = z.strictObject({ tenantId: TenantId, sessionId: SessionId, epoch: Epoch });
export type RunnerScope = z.infer<typeof RunnerScope>;

export const formatRunnerCredential = ({ tenantId, sessionId, epoch }: RunnerScope, secret: string): string =>
  `rt.${tenantId}.${sessionId}.${epoch}.${secret}`;

/** @returns `null` for anything that is not such a credential */
export const parseRunnerCredential = (credential: string): (RunnerScope & { secret: string }) | null => {
  const [kind, tenantId, sessionId, epoch, secret, ...rest] = credential.split('.');
  if (kind !== 'rt' || secret === undefined || secret.length < 32 || rest.length > 0) return null;
  const scope = RunnerScope.safeParse({ tenantId, sessionId, epoch: Number(epoch) });
  return scope.success ? { ...scope.data, secret } : null;
};

/** The credential that follows `credential` in the same scope. */
export const nextRunnerCredential = (credential: string, secretHex: string): string =>
  `${credential.slice(0, credential.lastIndexOf('.'))}.${secretHex}`;
