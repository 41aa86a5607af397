/**
 * Signed tokens (JWT, HS256 by jose): sign-in sessions, the runner's capability, the viewer's view. Verified without a read, so a
 * frame costs no database call; a short memory of verified tokens keeps the signature off the keystroke path.
 */
import { jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import type { Clock } from '../shared/clock.ts';
import { AppError } from '../shared/errors.ts';
import { Epoch, RunnerId, SessionId, TenantId, UserId, ViewerId } from '../shared/ids.ts';

export const UserClaims = z.object({
  kind: z.literal('user'),
  tenantId: TenantId,
  userId: UserId,
  expSec: z.int(),
  client: z.enum(['browser', 'cli']),
});
export type UserClaims = z.infer<typeof UserClaims>;
export const CapabilityClaims = z.object({
  kind: z.literal('capability'),
  tenantId: TenantId,
  sessionId: SessionId,
  epoch: Epoch,
  /** The customer-hosted or warm runner that the session is assigned to; absent where a task has its session from the start. */
  runnerId: RunnerId.optional(),
  expSec: z.int(),
});
export type CapabilityClaims = z.infer<typeof CapabilityClaims>;
export const ViewClaims = z.object({
  kind: z.literal('view'),
  tenantId: TenantId,
  sessionId: SessionId,
  viewerId: ViewerId,
  userId: UserId,
  expSec: z.int(),
});
export type ViewClaims = z.infer<typeof ViewClaims>;

const Claims = z.discriminatedUnion('kind', [UserClaims, CapabilityClaims, ViewClaims]);
type Claims = z.infer<typeof Claims>;
type ClaimsOf<K extends Claims['kind']> = Extract<Claims, { kind: K }>;

const REMEMBERED_MAX = 4_096;

export interface Signer {
  sign(claims: Claims): Promise<string>;
  /** @throws AppError `invalid_credential` when the signature, the kind or the time does not fit */
  verify<K extends Claims['kind']>(kind: K, token: string): Promise<ClaimsOf<K>>;
}

export const jwtSigner = ({ key, clock }: { key: () => Promise<Uint8Array>; clock: Clock }): Signer => {
  const remembered = new Map<string, Claims>();
  const invalid = (cause?: unknown) =>
    new AppError('invalid_credential', 'The credential is not valid or has expired: sign in again.', { cause });

  const check = async (token: string): Promise<Claims> => {
    const known = remembered.get(token);
    if (known !== undefined) return known;
    let claims: Claims;
    try {
      const { payload } = await jwtVerify(token, await key(), {
        algorithms: ['HS256'],
        currentDate: new Date(clock.nowMs()),
      });
      claims = Claims.parse({ ...payload, expSec: payload.exp });
    } catch (error) {
      throw invalid(error);
    }
    if (remembered.size >= REMEMBERED_MAX) remembered.delete(remembered.keys().next().value ?? '');
    remembered.set(token, claims);
    return claims;
  };

  const isKind = <K extends Claims['kind']>(claims: Claims, kind: K): claims is ClaimsOf<K> => claims.kind === kind;
  return {
    sign: async ({ expSec, ...claims }) =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
        .setExpirationTime(expSec)
        .sign(await key()),
    verify: async (kind, token) => {
      const claims = await check(token);
      if (!isKind(claims, kind) || claims.expSec * 1_000 <= clock.nowMs()) throw invalid();
      return claims;
    },
  };
};
