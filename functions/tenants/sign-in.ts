/** Sign-in by a one-time link, and what follows from it: a signed session for people, a short ticket for each WebSocket. */
import type { Clock, Random } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import { TenantId } from '../../shared/ids.ts';
import { SIGN_IN_LINK_TTL_MS, TICKET_TTL_MS, WEB_SESSION_TTL_MS } from '../../shared/limits.ts';
import type { Signer, UserClaims } from '../signing.ts';
import type { TenantProfile, TenantStore } from './tenant-store.ts';

export interface SignInPorts {
  readonly tenants: TenantStore;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly random: Random;
}

const SECRET_BYTES = 24;
const CLI_TOKEN_TTL_MS = 30 * 24 * 60 * 60_000;

/** `<tenant>.<secret>`: the tenant is part of every key, so a code must name it. */
const splitCode = (code: string): { tenantId: string; secret: string } | null => {
  const dot = code.indexOf('.');
  const tenantId = TenantId.safeParse(code.slice(0, dot));
  return dot > 0 && tenantId.success && code.length > dot + SECRET_BYTES
    ? { tenantId: tenantId.data, secret: code.slice(dot + 1) }
    : null;
};

const userToken = async (
  { signer, clock }: SignInPorts,
  who: { tenantId: string; userId: string; client: 'browser' | 'cli' },
  ttlMs: number,
) => {
  const expSec = Math.floor((clock.nowMs() + ttlMs) / 1_000);
  return { token: await signer.sign({ kind: 'user', ...who, expSec }), expSec };
};

/** Creates a tenant with its first user and hands out a way in for each of page and command line. Repeating it adds a new way in. */
export const bootstrapTenant = async (
  ports: SignInPorts,
  profile: TenantProfile,
  userId: string,
): Promise<{ signInCode: string; token: string }> => {
  await ports.tenants.ensureTenant(profile, userId);
  const secret = ports.random.hex(SECRET_BYTES);
  await ports.tenants.putOneTime('SIGNIN', profile.tenantId, secret, {
    userId,
    client: 'browser',
    expiresAtMs: ports.clock.nowMs() + SIGN_IN_LINK_TTL_MS,
  });
  const { token } = await userToken(ports, { tenantId: profile.tenantId, userId, client: 'cli' }, CLI_TOKEN_TTL_MS);
  return { signInCode: `${profile.tenantId}.${secret}`, token };
};

/** @throws AppError `invalid_credential` when the link was used, has expired or never existed */
export const signIn = async (
  ports: SignInPorts,
  code: string,
): Promise<{ tenantId: string; userId: string; token: string; expSec: number }> => {
  const parts = splitCode(code);
  const found = parts === null ? null : await ports.tenants.takeOneTime('SIGNIN', parts.tenantId, parts.secret);
  if (parts === null || found === null)
    throw new AppError(
      'invalid_credential',
      'This sign-in link was used already or has expired. Ask for a new one: `npx village open` prints it.',
    );
  const who = { tenantId: parts.tenantId, userId: found.userId, client: 'browser' as const };
  return { ...who, ...(await userToken(ports, who, WEB_SESSION_TTL_MS)) };
};

/** Another way in for a person who is signed in on the command line. */
export const createSignInCode = async (
  ports: SignInPorts,
  user: Pick<UserClaims, 'tenantId' | 'userId'>,
): Promise<string> => {
  const secret = ports.random.hex(SECRET_BYTES);
  await ports.tenants.putOneTime('SIGNIN', user.tenantId, secret, {
    userId: user.userId,
    client: 'browser',
    expiresAtMs: ports.clock.nowMs() + SIGN_IN_LINK_TTL_MS,
  });
  return `${user.tenantId}.${secret}`;
};

/** One WebSocket, within 30 s. */
export const createTicket = async (
  ports: SignInPorts,
  user: UserClaims,
): Promise<{ ticket: string; expiresAtMs: number }> => {
  const secret = ports.random.hex(SECRET_BYTES);
  const expiresAtMs = ports.clock.nowMs() + TICKET_TTL_MS;
  await ports.tenants.putOneTime('TICKET', user.tenantId, secret, {
    userId: user.userId,
    client: user.client,
    expiresAtMs,
  });
  return { ticket: `${user.tenantId}.${secret}`, expiresAtMs };
};

/**
 * Redeems a ticket: once. A browser's demands an allowed Origin, a command line's none at all (a page cannot borrow it).
 * @returns `null` when it must be refused
 */
export const redeemTicket = async (
  ports: Pick<SignInPorts, 'tenants'>,
  ticket: string,
  origin: string | undefined,
  allowedOrigins: readonly string[],
): Promise<{ tenantId: string; userId: string } | null> => {
  const parts = splitCode(ticket);
  if (parts === null || (origin !== undefined && !allowedOrigins.includes(origin))) return null;
  const found = await ports.tenants.takeOneTime('TICKET', parts.tenantId, parts.secret);
  if (found === null || (found.client === 'browser') !== (origin !== undefined)) return null;
  return { tenantId: parts.tenantId, userId: found.userId };
};
