/** The key under which a caller may repeat a request that makes something. */
import { AppError } from '../../shared/errors.ts';
import { IDEMPOTENCY_HEADER } from '../../shared/http.ts';
import { IDEMPOTENCY_KEY_MAX_CHARS } from '../../shared/limits.ts';

/** @throws AppError `invalid_request` */
export const idempotencyKeyOf = (headers: Readonly<Record<string, string | undefined>>): string | undefined => {
  const key = headers[IDEMPOTENCY_HEADER];
  if (key !== undefined && (key === '' || key.length > IDEMPOTENCY_KEY_MAX_CHARS))
    throw new AppError('invalid_request', `Idempotency-Key must have 1 to ${IDEMPOTENCY_KEY_MAX_CHARS} characters.`, {
      path: IDEMPOTENCY_HEADER,
    });
  return key;
};
