/** Who asks, out of the authorizer's context. */
import { AppError } from '../../shared/errors.ts';
import { SessionId } from '../../shared/ids.ts';
import type { SessionRef } from '../sessions/session-store.ts';
import { UserClaims } from '../signing.ts';
import type { AuthorizerContext } from './http.ts';

/** @throws AppError `not_signed_in` */
export const userOf = (authorizer: AuthorizerContext): UserClaims => {
  const user = UserClaims.safeParse({ ...authorizer, expSec: Number(authorizer.expSec) });
  if (!user.success) throw new AppError('not_signed_in', 'Sign in first: open the link that the village printed.');
  return user.data;
};

/** The tenant comes from the caller, never from the path: another tenant's session is not found, like one that never was. */
export const sessionRefOf = (authorizer: AuthorizerContext, id: string | undefined): SessionRef => {
  const { tenantId } = userOf(authorizer);
  const sessionId = SessionId.safeParse(id);
  if (!sessionId.success) throw new AppError('not_found', 'There is no such session.');
  return { tenantId, sessionId: sessionId.data };
};
