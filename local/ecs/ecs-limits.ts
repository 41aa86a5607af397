/** Caps of the ECS emulator; those of AWS name their row in facts/aws.md ("Limits elsewhere", ECS). */

/** Tasks one RunTask may ask for (AWS). */
export const RUN_TASK_MAX_COUNT = 10;
/** Characters of a clientToken (AWS). */
export const CLIENT_TOKEN_MAX_CHARS = 64;
/** How long a clientToken is remembered (AWS). */
export const CLIENT_TOKEN_TTL_MS = 24 * 60 * 60_000;
/** Remembered client tokens; beyond it the oldest is forgotten. */
export const CLIENT_TOKENS_MAX = 20_000;
/** A stopped task is surely visible for this long (AWS), and here exactly so. */
export const STOPPED_TASK_VISIBLE_MS = 60 * 60_000;
/** Page size of the list calls (AWS), and of DescribeTasks. */
export const LIST_MAX_RESULTS = 100;
/** Live tasks on this machine; the next RunTask gets a failure (RESOURCE:CPU). */
export const LIVE_TASKS_MAX = 64;
/** Definitions kept; a registration beyond it is refused with LimitExceededException. */
export const DEFINITIONS_MAX = 1_000;
/** Body of one call. */
export const ECS_REQUEST_MAX_BYTES = 256 * 1024;
/** Output kept of one task: what comes later is counted and left out. */
export const TASK_LOG_MAX_BYTES = 8 * 1024 * 1024;
/** stopTimeout of a container without one, and the most AWS allows. */
export const STOP_TIMEOUT_DEFAULT_SEC = 30;
export const STOP_TIMEOUT_MAX_SEC = 120;
