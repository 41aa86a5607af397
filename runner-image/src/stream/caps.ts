/** Caps of the terminal stream; what stands beyond each one is said beside it. */
const KIB = 1024;
const MIB = 1024 * KIB;

/** An unfinished control sequence held back; a longer one is dropped (CSI, clipboard) or let through unfinished (strings). */
export const CONTROL_HELD_MAX_CHARS = 4 * KIB;
/** Known secrets of a session, and their length; shorter ones would mask half of every text, more or longer ones are refused. */
export const SECRETS_MAX = 256;
export const SECRET_MIN_CHARS = 6;
export const SECRET_MAX_CHARS = 8 * KIB;
/** Silence after which a held-back beginning of a secret is decided: shorter than the limit shown, otherwise masked. */
export const REDACTOR_HOLD_MS = 50;
export const REDACTOR_SHOWN_PREFIX_MAX_CHARS = 8;
/** Spool files: a segment that is full is followed by the next; over the total the oldest is dropped and declared. */
export const SPOOL_SEGMENT_BYTES = 16 * MIB;
/** Resize marks and checkpoints are rewritten without the outdated ones beyond this. */
export const SPOOL_MARKS_MAX_BYTES = 256 * KIB;
/** Bytes the screen model may lag behind the spool; beyond it the PTY waits (not acknowledged). */
export const SCREEN_BACKLOG_MAX_BYTES = 4 * MIB;
/** Live output kept for watchers; beyond it the backlog is dropped and a snapshot is due. */
export const LIVE_BACKLOG_MAX_BYTES = 256 * KIB;
/** Flush rules of protocol.md, Terminal. */
export const FLUSH_INTERACTIVE_WINDOW_MS = 1_000;
export const FLUSH_INTERACTIVE_MS = 16;
export const FLUSH_INTERACTIVE_BUSY_MS = 33;
export const FLUSH_INTERACTIVE_BUSY_BYTES = 4 * KIB;
export const FLUSH_IDLE_MS = 250;
