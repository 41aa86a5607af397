/**
 * The runner's rotating credential. The one-use token of RunTask is derived, so that a repeated launch has identical parameters and
 * nothing secret is stored; each dial replaces the credential by the hash the runner sent for its next one.
 */
import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { RUNNER_TOKEN_TTL_MS, SESSION_SIDE_ROWS_TTL_MS } from '../../shared/limits.ts';
import { formatRunnerCredential, parseRunnerCredential, type RunnerScope } from '../../shared/runner-credential.ts';
import type { Database, Key, Write } from '../database.ts';
import { sha256Hex } from '../hash.ts';

const Credential = z.looseObject({
  hash: z.string(),
  previousHash: z.string().nullable(),
  expiresAtMs: z.int().nullable(),
});

const keyOf = ({ tenantId, sessionId, epoch }: RunnerScope): Key => ({
  pk: `T#${tenantId}#S#${sessionId}`,
  sk: `CREDENTIAL#${String(epoch).padStart(6, '0')}`,
});

export const deriveStartToken = (signingKey: Uint8Array, scope: RunnerScope): string =>
  formatRunnerCredential(
    { kind: 'session', ...scope },
    createHmac('sha256', signingKey)
      .update(`start-token ${scope.tenantId} ${scope.sessionId} ${scope.epoch}`)
      .digest('hex'),
  );

/** Part of the transaction that raises the epoch. */
export const credentialPut = (scope: RunnerScope, startToken: string, nowMs: number): Write => ({
  kind: 'put',
  table: 'runners',
  item: {
    ...keyOf(scope),
    hash: sha256Hex(startToken),
    previousHash: null,
    expiresAtMs: nowMs + RUNNER_TOKEN_TTL_MS,
    expiresAtSec: Math.ceil((nowMs + SESSION_SIDE_ROWS_TTL_MS) / 1_000),
  },
  conditions: [{ attr: 'pk', is: 'absent' }],
});

/**
 * Exchanges what was presented for what comes next. A retry of a lost answer (previous credential, same next hash) is granted again;
 * anything else that was used before is a replay and refused.
 */
export const exchangeCredential = async (
  { db, clock }: { db: Database; clock: Clock },
  presented: string,
  nextHash: string,
): Promise<RunnerScope | null> => {
  const parsed = parseRunnerCredential(presented);
  if (parsed?.principal.kind !== 'session' || !/^[0-9a-f]{64}$/.test(nextHash)) return null;
  const { kind: _, ...scope } = parsed.principal;
  const hash = sha256Hex(presented);
  if (nextHash === hash) return null;
  const item = await db.get('runners', keyOf(scope));
  if (item === null) return null;
  const stored = Credential.parse(item);
  if (stored.previousHash === hash && stored.hash === nextHash) return scope;
  if (stored.hash !== hash || (stored.expiresAtMs !== null && stored.expiresAtMs <= clock.nowMs())) return null;
  const rotated = await db.write({
    kind: 'update',
    table: 'runners',
    key: keyOf(scope),
    /** Only the start token expires; a live runner's credential lives as long as its epoch. */
    set: { hash: nextHash, previousHash: hash, expiresAtMs: null },
    conditions: [{ attr: 'hash', op: '=', value: hash }],
  });
  return rotated.ok ? scope : null;
};
