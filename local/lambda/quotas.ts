/** What Lambda refuses or cuts off (facts/aws.md "Limits elsewhere"; Lambda quotas). */

/** Synchronous event and answer, serialised. */
export const PAYLOAD_MAX_BYTES = 6 * 1024 * 1024;
/** Asynchronous event, serialised. */
export const ASYNC_PAYLOAD_MAX_BYTES = 1024 * 1024;
/** Invocations at once of all functions without reserved concurrency. */
export const UNRESERVED_CONCURRENCY = 1_000;
/** Times an asynchronous event is tried again after an error or a time-out. */
export const ASYNC_RETRIES = 2;
/** Waits before the first and the second of those. */
export const ASYNC_RETRY_DELAYS_MS: readonly number[] = [60_000, 120_000];
/** A throttled asynchronous event waits, doubling between these. */
export const THROTTLE_FIRST_MS = 1_000;
export const THROTTLE_MAX_MS = 300_000;
/** An asynchronous event older than this is dropped with a log line. */
export const ASYNC_MAX_AGE_MS = 6 * 60 * 60_000;
/** Asynchronous events waiting or running; the next is refused. */
export const ASYNC_MAX_EVENTS = 10_000;
