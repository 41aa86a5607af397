/**
 * A runner's rotating credential. One-use tokens are derived, so that a repeated launch or registration has identical parameters and
 * nothing secret is stored; each dial replaces the credential by the hash the runner sent for its next one.
 */
import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { RUNNER_TOKEN_TTL_MS, SESSION_SIDE_ROWS_TTL_MS } from '../../shared/limits.ts';
import {
  formatRunnerCredential,
  parseRunnerCredential,
  type RunnerPrincipal,
  type RunnerScope,
} from '../../shared/runner-credential.ts';
import type { Database, Key, Write } from '../database.ts';
import { sha256Hex } from '../hash.ts';

const Credential = z.looseObject({
  hash: z.string(),
  previousHash: z.string().nullable(),
  expiresAtMs: z.int().nullable(),
});
type Credential = z.infer<typeof Credential>;

export const credentialKey = (principal: RunnerPrincipal): Key => {
  switch (principal.kind) {
    case 'session':
      return {
        pk: `T#${principal.tenantId}#S#${principal.sessionId}`,
        sk: `CREDENTIAL#${String(principal.epoch).padStart(6, '0')}`,
      };
    case 'group':
      return { pk: `T#${principal.tenantId}#H#${principal.runnerId}`, sk: 'CREDENTIAL' };
    case 'warm':
      return { pk: `WARM#${principal.runnerId}`, sk: 'CREDENTIAL' };
  }
};

const derived = (signingKey: Uint8Array, text: string): string =>
  createHmac('sha256', signingKey).update(`start-token ${text}`).digest('hex');

export const deriveStartToken = (signingKey: Uint8Array, scope: RunnerScope): string =>
  formatRunnerCredential(
    { kind: 'session', ...scope },
    derived(signingKey, `${scope.tenantId} ${scope.sessionId} ${scope.epoch}`),
  );

export const deriveRunnerToken = (
  signingKey: Uint8Array,
  principal: Exclude<RunnerPrincipal, { kind: 'session' }>,
): string => {
  const tenantId = principal.kind === 'group' ? principal.tenantId : '';
  return formatRunnerCredential(
    principal,
    derived(signingKey, `${principal.kind} of ${tenantId}: ${principal.runnerId}`),
  );
};

const expiresAtSec = (nowMs: number): number => Math.ceil((nowMs + SESSION_SIDE_ROWS_TTL_MS) / 1_000);

/** @param ttlMs how long the token may be used for its one exchange */
export const runnerCredentialPut = (
  principal: RunnerPrincipal,
  token: string,
  nowMs: number,
  ttlMs: number,
): Write => ({
  kind: 'put',
  table: 'runners',
  item: {
    ...credentialKey(principal),
    hash: sha256Hex(token),
    previousHash: null,
    expiresAtMs: nowMs + ttlMs,
    expiresAtSec: expiresAtSec(nowMs),
  },
  conditions: [{ attr: 'pk', is: 'absent' }],
});

/** Part of the transaction that raises the epoch. */
export const credentialPut = (scope: RunnerScope, startToken: string, nowMs: number): Write =>
  runnerCredentialPut({ kind: 'session', ...scope }, startToken, nowMs, RUNNER_TOKEN_TTL_MS);

/**
 * Exchanges what was presented for what comes next. A retry of a lost answer (previous credential, same next hash) is granted again;
 * anything else that was used before is a replay and refused, as is everything of a runner whose credential was deleted (revoked).
 */
export const exchangeCredential = async (
  { db, clock }: { db: Database; clock: Clock },
  presented: string,
  nextHash: string,
): Promise<RunnerPrincipal | null> => {
  const principal = parseRunnerCredential(presented)?.principal;
  if (principal === undefined || !/^[0-9a-f]{64}$/.test(nextHash)) return null;
  const key = credentialKey(principal);
  const hash = sha256Hex(presented);
  if (nextHash === hash) return null;
  const item = await db.get('runners', key);
  if (item === null) return null;
  const stored = Credential.parse(item);
  const isExchanged = (now: Credential): boolean => now.previousHash === hash && now.hash === nextHash;
  if (isExchanged(stored)) return principal;
  const nowMs = clock.nowMs();
  if (stored.hash !== hash || (stored.expiresAtMs !== null && stored.expiresAtMs <= nowMs)) return null;
  const rotated = await db.write({
    kind: 'update',
    table: 'runners',
    key,
    /** Only the one-use token expires; what follows it lives as long as its epoch or its runner, which dials every two hours. */
    set: { hash: nextHash, previousHash: hash, expiresAtMs: null, expiresAtSec: expiresAtSec(nowMs) },
    conditions: [{ attr: 'hash', op: '=', value: hash }],
  });
  /** Its own answer was lost and it was repeated, or the same dial came twice: a refusal would end a runner with all that it holds. */
  const isRepeated = !rotated.ok && rotated.item !== null && isExchanged(Credential.parse(rotated.item));
  return rotated.ok || isRepeated ? principal : null;
};
