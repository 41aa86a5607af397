/** Conflict, throttle and time-out are the weather of DynamoDB: retried with full jitter, never shown to a runner as a refusal. */
import { type Clock, type Random, sleep } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';

const TRANSIENT = new Set([
  'TransactionConflictException',
  'TransactionInProgressException',
  'ProvisionedThroughputExceededException',
  'ThrottlingException',
  'RequestLimitExceeded',
  'InternalServerError',
  'ServiceUnavailable',
  'TimeoutError',
  'ECONNRESET',
]);
const TRANSIENT_REASONS = new Set(['TransactionConflict', 'ThrottlingError', 'ProvisionedThroughputExceeded']);
const ATTEMPTS = 8;
const BASE_MS = 10;
const MAX_MS = 1_000;

const isTransient = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false;
  if (TRANSIENT.has(error.name) || ('code' in error && TRANSIENT.has(String(error.code)))) return true;
  const reasons =
    'CancellationReasons' in error && Array.isArray(error.CancellationReasons) ? error.CancellationReasons : [];
  return reasons.some((reason: { Code?: string }) => TRANSIENT_REASONS.has(reason.Code ?? ''));
};

/** @throws AppError `throttled` when the weather does not clear; anything else is passed on at once. */
export const retryTransient = async <T>(
  run: () => Promise<T>,
  { clock, random }: { clock: Clock; random: Random },
): Promise<T> => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await run();
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (attempt + 1 >= ATTEMPTS)
        throw new AppError('throttled', 'The store is busy: try again in a few seconds.', { cause: error });
      await sleep(clock, random.next() * Math.min(MAX_MS, BASE_MS * 2 ** attempt));
    }
  }
};
