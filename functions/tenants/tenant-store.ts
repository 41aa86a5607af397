/** Everything kept under a tenant's own key: profile, one-time codes, tickets, idempotency keys. Secrets are stored hashed. */
import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import { IDEMPOTENCY_TTL_MS } from '../../shared/limits.ts';
import type { Database, Write } from '../database.ts';
import { sha256Hex } from '../hash.ts';

const pk = (tenantId: string) => `T#${tenantId}`;

export const TenantProfile = z.looseObject({
  tenantId: z.string(),
  /** Vendors whose key the tenant has: without one, only the scripted model runs. */
  modelVendors: z.array(z.enum(['anthropic'])),
});
export type TenantProfile = z.infer<typeof TenantProfile>;

const OneTime = z.looseObject({ userId: z.string(), client: z.enum(['browser', 'cli']), expiresAtMs: z.int() });
export type OneTime = z.infer<typeof OneTime>;

/** What the first call made: a session, or a runner. */
const Idempotent = z.looseObject({
  bodyDigest: z.string(),
  sessionId: z.string().optional(),
  runnerId: z.string().optional(),
  expiresAtSec: z.int(),
});

export type OneTimeKind = 'SIGNIN' | 'TICKET';

export interface TenantStore {
  profile(tenantId: string): Promise<TenantProfile | null>;
  ensureTenant(profile: TenantProfile, userId: string): Promise<void>;
  putOneTime(kind: OneTimeKind, tenantId: string, secret: string, value: OneTime): Promise<void>;
  /** Consumes it: of any number of parallel calls exactly one gets the value. */
  takeOneTime(kind: OneTimeKind, tenantId: string, secret: string): Promise<OneTime | null>;
  idempotent(tenantId: string, key: string): Promise<z.infer<typeof Idempotent> | null>;
}

/** DynamoDB removes expired items only some time later: one that still stands counts as gone. Seconds, as its TTL wants them. */
const expiredBySec = (nowMs: number): number => Math.floor(nowMs / 1_000);

/** Taken once for `IDEMPOTENCY_TTL_MS`: over an expired item, but never over a live one. */
export const idempotencyPut = (
  tenantId: string,
  key: string,
  named: { readonly bodyDigest: string } & ({ readonly sessionId: string } | { readonly runnerId: string }),
  nowMs: number,
): Write => ({
  kind: 'put',
  table: 'tenants',
  item: {
    pk: pk(tenantId),
    sk: `IDEM#${sha256Hex(key)}`,
    ...named,
    expiresAtSec: Math.ceil((nowMs + IDEMPOTENCY_TTL_MS) / 1_000),
  },
  conditions: [{ attr: 'expiresAtSec', op: '<=', value: expiredBySec(nowMs), orAbsent: true }],
});

export const tenantStore = (db: Database, clock: Clock): TenantStore => ({
  profile: async (tenantId) => {
    const item = await db.get('tenants', { pk: pk(tenantId), sk: 'PROFILE' });
    return item === null ? null : TenantProfile.parse(item);
  },
  ensureTenant: async (profile, userId) => {
    await db.write({
      kind: 'update',
      table: 'tenants',
      key: { pk: pk(profile.tenantId), sk: 'PROFILE' },
      set: { tenantId: profile.tenantId, modelVendors: profile.modelVendors },
    });
    await db.write({
      kind: 'update',
      table: 'tenants',
      key: { pk: pk(profile.tenantId), sk: `MEMBER#${userId}` },
      set: { userId },
    });
  },
  putOneTime: async (kind, tenantId, secret, value) => {
    await db.write({
      kind: 'put',
      table: 'tenants',
      item: {
        pk: pk(tenantId),
        sk: `${kind}#${sha256Hex(secret)}`,
        ...value,
        expiresAtSec: Math.ceil(value.expiresAtMs / 1_000),
      },
      conditions: [{ attr: 'pk', is: 'absent' }],
    });
  },
  takeOneTime: async (kind, tenantId, secret) => {
    const taken = await db.write({
      kind: 'delete',
      table: 'tenants',
      key: { pk: pk(tenantId), sk: `${kind}#${sha256Hex(secret)}` },
      conditions: [
        { attr: 'pk', is: 'present' },
        { attr: 'expiresAtMs', op: '>', value: clock.nowMs() },
      ],
    });
    return taken.ok && taken.item !== null ? OneTime.parse(taken.item) : null;
  },
  idempotent: async (tenantId, key) => {
    const item = await db.get('tenants', { pk: pk(tenantId), sk: `IDEM#${sha256Hex(key)}` });
    const known = item === null ? null : Idempotent.parse(item);
    return known === null || known.expiresAtSec <= expiredBySec(clock.nowMs()) ? null : known;
  },
});
