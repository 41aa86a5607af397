/** Caps of pty-host; what stands beyond each one is said beside it. */
const KIB = 1024;
const MIB = 1024 * KIB;

/** Output kept per process until acknowledged; beyond it the PTY is not read and the program blocks. */
export const PTY_UNACKED_MAX_BYTES = 1 * MIB;
/** Bytes of output that leave in one frame at most. */
export const PTY_OUTPUT_PIECE_MAX_BYTES = 64 * KIB;
/** Output that follows other output within this time is gathered for as long. */
export const PTY_COALESCE_MS = 2;
/** Largest frame on the socket; a larger one ends the connection. */
export const PTY_FRAME_MAX_BYTES = 2 * MIB;
/** Input a program has not read yet; beyond it a write is refused. */
export const PTY_INPUT_QUEUE_MAX_BYTES = 256 * KIB;
/** Processes held at once, ended and unacknowledged ones included; beyond it a spawn is refused. */
export const PTY_PROCESSES_MAX = 64;
/** Runner connections at once; the oldest is closed for the next. */
export const PTY_CONNECTIONS_MAX = 4;
/** After the exit of the program: silence that means its terminal is read empty, and bytes a survivor may still add. */
export const PTY_DRAIN_QUIET_MS = 20;
export const PTY_DRAIN_MAX_BYTES = 512 * KIB;
/** Between SIGTERM and SIGKILL for the processes of a session. */
export const PTY_KILL_GRACE_MS = 2_000;
/** After this much killing, what is left is reported as a failure. */
export const PTY_KILL_MAX_MS = 10_000;
export const PTY_SCAN_INTERVAL_MS = 25;
/** Runner restarts: first and longest delay, and the crashes within a window after which pty-host gives up. */
export const RUNNER_RESTART_FIRST_MS = 100;
export const RUNNER_RESTART_MAX_MS = 5_000;
export const RUNNER_CRASHES_MAX = 5;
export const RUNNER_CRASH_WINDOW_MS = 60_000;
