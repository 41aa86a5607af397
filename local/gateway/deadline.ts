/** Waits for an integration no longer than API Gateway does; what comes later is nobody's. */
import type { Clock } from '../../shared/clock.ts';

/** The promise's value, or `late` once `limitMs` have passed. */
export function withDeadline<T>(clock: Clock, limitMs: number, promise: Promise<T>): Promise<T | 'late'> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () => resolve('late'));
    promise.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}
