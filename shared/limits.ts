/** Every cap of the system in one place: beyond each one stands what happens, so that no queue or payload grows unseen. */

const KIB = 1024;
const MIB = 1024 * KIB;

// Frames and events (protocol.md; facts: API Gateway bills and cuts at 32 KiB).
/** Serialised size of one WebSocket frame; larger closes with 1009 at the gateway. */
export const FRAME_MAX_BYTES = 32 * KIB;
/** Room a frame's envelope may take; the payload gets the rest. */
export const FRAME_ENVELOPE_BYTES = 1 * KIB;
/** One durable event, serialised; a larger body is stored as `event_rejected` with its hash. */
export const EVENT_MAX_BYTES = 16 * KIB;
/** Objects and lists inside one another in an event; a batch with a deeper one is refused before anything walks it. */
export const EVENT_MAX_DEPTH = 64;
/** Serialised events of one batch; more wait for the next batch. */
export const BATCH_MAX_BYTES = 28 * KIB;
/** Events in one batch. */
export const BATCH_MAX_EVENTS = 100;
/** Events in one batch that write a row of their own (DynamoDB: 100 items a transaction). */
export const BATCH_MAX_ROW_EVENTS = 40;
/** Batches whose digest the stream head remembers; older duplicates are looked up in the segments. Each makes every commit larger, and so dearer. */
export const HEAD_RECENT_BATCHES = 4;
/** Sessions whose last commit a process remembers, to plan the next one without a read; the one longest without a commit is forgotten first. */
export const COMMIT_MEMORY_MAX = 1_000;
/** Stored events of a batch that stay as they are; longer ones are compressed, since each begun KiB of a row is paid for. */
export const SEGMENT_PLAIN_MAX_BYTES = 640;
/** Stored events of a batch, unpacked: numbers of a frame grow up to fivefold when they are written again. Longer ones are not compressed. */
export const SEGMENT_UNPACKED_MAX_BYTES = MIB;
/** Events that may wait unacknowledged in the journal; beyond it the session freezes instead of losing one. */
export const JOURNAL_MAX_BYTES = 64 * MIB;

// Time (architecture §4, §12; protocol.md).
export const LEASE_MS = 90_000;
export const HEARTBEAT_MS = 30_000;
export const USAGE_TICK_DEFAULT_MS = 30_000;
/** A tick at least this old is renewed with what leaves at once; ticks are never further apart than their interval. */
export const USAGE_TICK_EARLY_MS = 5_000;
export const LEASE_LOST_KILL_MS = 15 * 60_000;
export const RESEND_FIRST_MS = 5_000;
export const RESEND_MAX_MS = 60_000;
export const LINGER_WATCHED_MS = 2_000;
export const LINGER_UNWATCHED_MS = 30_000;
export const INPUT_HOLE_MS = 1_000;
/** Frames the runner holds behind a hole; beyond it they are discarded and the viewer is reset. */
export const INPUT_MAX_HELD_FRAMES = 256;
/** Frames of input on their way without an ack; what is typed meanwhile waits, and goes on together. */
export const INPUT_WINDOW_FRAMES = 16;
/** Typed characters (UTF-16 units) that wait; beyond it they are refused and the person is told. All of them fit INPUT_MAX_HELD_FRAMES. */
export const INPUT_WAITING_MAX_CHARS = 512 * KIB;
export const INPUT_MAX_BYTES = 8 * KIB;
/** The same data as JSON, inside a frame that also carries a signed view of up to 1,000 characters. */
export const INPUT_SERIALISED_MAX_BYTES = FRAME_MAX_BYTES - 2 * FRAME_ENVELOPE_BYTES;
/** An API input is posted to the runner again after this long without its answer, and given up, which its caller is told, after that long. */
export const API_INPUT_RESEND_MS = 1_000;
export const API_INPUT_CONFIRM_MS = 8_000;
/** API inputs of one session that wait for their answers at once; the next is refused. */
export const API_INPUT_WAITING_MAX = 16;
/** Between two looks for the answer: the first, doubling up to the last. */
export const API_INPUT_LOOK_FIRST_MS = 25;
export const API_INPUT_LOOK_MAX_MS = 250;
/** How long an answer is kept. */
export const API_INPUT_ANSWER_KEPT_MS = 10 * 60_000;
/** Input without an ack is sent again after this long, ever more rarely: the first time before INPUT_HOLE_MS gives a hole up. */
export const INPUT_RESEND_FIRST_MS = 400;
export const INPUT_RESEND_MAX_MS = 8_000;
export const HEAD_REPEAT_MS: readonly number[] = [500, 5_000];
export const PING_INTERVAL_MS = 5 * 60_000;
/** A viewer's ping without any answer for this long means that the line is dead though nobody said so; it asks again after half of it. */
export const VIEWER_PROBE_DEADLINE_MS = 5_000;
/** A probe without an answer for this long shows: the line is in doubt. */
export const VIEWER_DOUBT_MS = 1_000;
/** A line that was silent for this long is probed when its person does something. */
export const VIEWER_QUIET_MS = 15_000;
/** Input without an ack for this long on a silent line is a reason to probe it. */
export const INPUT_SILENCE_MS = 1_500;
/** Typed text that waits this long for its ack is shown as waiting. */
export const INPUT_PENDING_SHOWN_MS = 400;
/** Whoever asks for the keyboard and gets no answer for this long may take it. */
export const CONTROL_REQUEST_ANSWER_MS = 15_000;
/** The same question is sent again until the control plane shows it. */
export const CONTROL_REQUEST_AGAIN_MS = 3_000;
/** A question this old counts as withdrawn: the next asker takes its place. */
export const CONTROL_REQUEST_EXPIRES_MS = 60_000;
/** A viewer row without a ping for this long counts as gone. */
export const VIEWER_EXPIRY_MS = 11 * 60_000;
/** Viewers of one session; the next attach is refused with `too_many_viewers`. */
export const VIEWERS_PER_SESSION_MAX = 100;
export const CONNECTION_MAX_MS = 2 * 60 * 60_000;
export const REDIAL_AFTER_MS = 110 * 60_000;
export const REDIAL_JITTER_MS = 5 * 60_000;
export const RECONNECT_BASE_MS = 250;
export const RECONNECT_MAX_MS = 20_000;
/** A viewer's dial that neither opens nor closes is given up. */
export const VIEWER_DIAL_DEADLINE_MS = 15_000;
/** A line that held this long was good: the next cut starts with a short wait again. */
export const VIEWER_STABLE_MS = 10_000;
export const TICKET_TTL_MS = 30_000;
export const RUNNER_TOKEN_TTL_MS = 10 * 60_000;
export const SIGN_IN_LINK_TTL_MS = 10 * 60_000;
export const WEB_SESSION_TTL_MS = 7 * 24 * 60 * 60_000;
export const IDEMPOTENCY_TTL_MS = 24 * 60 * 60_000;
export const SESSION_MAX_DURATION_MS = 8 * 60 * 60_000;
export const SESSION_IDLE_MS = 2 * 60 * 60_000;
/** A session that waits for a person this long gives its runner back (parking). */
export const PARK_AFTER_MS = 15 * 60_000;
export const PARK_AFTER_MAX_MS = 2 * 60 * 60_000;
/** Epochs in a row that were lost without progress; with the last of them the session fails as a poison start. */
export const EPOCH_STRIKES_MAX = 3;
/** An epoch that ran its CLI this long has got somewhere, also without a turn or a checkpoint. */
export const EPOCH_PROGRESS_MS = 60_000;
/** Between a lost epoch that is a strike, or a launch that was refused, and the next epoch; doubled each time in a row, up to the longest. */
export const CONTINUE_BACKOFF_FIRST_MS = 10_000;
export const CONTINUE_BACKOFF_MAX_MS = 10 * 60_000;
/** An open epoch without a runner after this long is placed again: whoever raised it has died on the way. */
export const PLACE_RETRY_MS = 30_000;
/** A parked session that nobody resumes for this long is ended. */
export const PARKED_MAX_MS = 14 * 24 * 60 * 60_000;
/** Heartbeat of a runner that waits for sessions or holds several; silence for three of them shows it as lost. */
export const RUNNER_STATUS_MS = 30_000;
/** Sessions one customer-hosted runner may hold at once; a registration that asks for more is refused. */
export const RUNNER_SESSIONS_MAX = 32;
/** What a registration gives where it names no number. */
export const RUNNER_SESSIONS_DEFAULT = 4;
/** Silence after which a runner that should send its status is shown as lost and gets no session. */
export const RUNNER_LOST_MS = 3 * RUNNER_STATUS_MS;
/** Customer-hosted runners of one tenant that live or may still come; the next registration is refused with `limit_reached`. */
export const RUNNERS_PER_TENANT_MAX = 500;
/** A runner that was silent for this long, and holds nothing, does not count any more; it may come back all the same. */
export const RUNNER_AWAY_COUNTED_MS = 60 * 60_000;
/** Runners of one tenant that do not count (revoked, never come, long away); beyond it a registration forgets those that are longest gone. */
export const RUNNERS_DEAD_KEPT_MAX = 500;
/** Of them so many with one registration, which adds one. */
export const RUNNERS_FORGOTTEN_AT_ONCE = 50;
/** The one-use token of a registration must be used within this. */
export const RUNNER_REGISTRATION_TTL_MS = 60 * 60_000;
/** How long a runner that never came, or was revoked, stays in the list. */
export const RUNNER_GONE_SHOWN_MS = 24 * 60 * 60_000;
/** A session that no runner of its group took for this long ends with the reason; until then it keeps its slot. */
export const QUEUE_WAIT_MAX_MS = 24 * 60 * 60_000;
/** How often the reaper asks for a queued session again: everything that frees a place asks at once, this catches what died on the way. */
export const QUEUE_CHECK_MS = 60_000;
/** Tries for one session before it waits in the queue; each lost one means that another session got the place. */
export const CLAIM_ROUNDS_MAX = 8;
/** Keys that the warm pool of a build is spread over, so that parallel starts do not meet on one. */
export const WARM_SHARDS = 8;
/** Idle tasks per build; a larger WARM_POOL_SIZE is refused at start. */
export const WARM_POOL_MAX = 100;
/** An idle task this old is drained: its connection and its image's patience end at two hours. */
export const WARM_RECYCLE_MS = 100 * 60_000;
/** A task of the pool that was asked to end and has not is stopped by ECS after this long: with the schedule and the stop itself within 180 s. */
export const WARM_END_GRACE_MS = 80_000;
/** A task of the pool without its row is an orphan, but not before this long after it was asked for. */
export const WARM_START_GRACE_MS = 60_000;
/** A session whose `endWhenDone` is set completes when its turns are done and nothing happened for this long. */
export const DONE_GRACE_MS = 2_000;
export const STOP_GRACE_MS = 10_000;
export const DRAIN_MS = 25_000;
/** A runner that is started again only to drain is asked to when it has taken its sessions up, and after so long in any case. */
export const DRAIN_TAKE_UP_MS = 5_000;
/** Boot steps, each with a limit of its own (experience.md: a hung start needs an error and a way out). */
export const BOOT_LIMITS_MS = {
  launching: 120_000,
  connecting: 60_000,
  preparing_workspace: 120_000,
  starting_provider: 45_000,
  proving_gate: 20_000,
} as const;
/** A task that never said hello is failed by the reaper after this long. */
export const START_TIMEOUT_MS = 180_000;
/** Asking a repository that may not exist must end within this. */
export const REPOSITORY_PROBE_MS = 8_000;

export const CONNECTION_TTL_MS = CONNECTION_MAX_MS + 10 * 60_000;

// Terminal.
export const TERMINAL_COLS_MAX = 500;
export const TERMINAL_ROWS_MAX = 300;
export const TERMINAL_DEFAULT = { cols: 120, rows: 32 } as const;
export const SCROLLBACK_LINES = 2_000;
export const TRANSCRIPT_CHUNK_WATCHED_BYTES = 64 * KIB;
export const TRANSCRIPT_CHUNK_WATCHED_MS = 30_000;
export const TRANSCRIPT_CHUNK_UNWATCHED_BYTES = 1 * MIB;
export const TRANSCRIPT_CHUNK_UNWATCHED_MS = 5 * 60_000;
/** Between two chunks that are cut for their size: every keyframe costs a whole screen; a chunk of the largest size does not wait. */
export const TRANSCRIPT_CHUNK_MIN_MS = 1_000;
/** A stored chunk, compressed, keyframe included. */
export const TRANSCRIPT_CHUNK_MAX_BYTES = 4 * MIB;
/** Number of the last chunk that an epoch may store, for the same reason as of a checkpoint; a further one is a gap. */
export const TRANSCRIPT_CHUNK_NUMBER_MAX = 999_999;
/** JSON of one stored chunk; a compressed one may unpack to a multiple of its size, a bomb gets no further than this. */
export const TRANSCRIPT_CHUNK_UNPACKED_MAX_BYTES = 8 * TRANSCRIPT_CHUNK_MAX_BYTES;
export const UPLOAD_GRANTS_AHEAD = 4;
export const UPLOAD_GRANT_TTL_MS = 15 * 60_000;
/** Snapshot parts of one snapshot; a larger screen is cut from the oldest scrollback line. */
export const SNAPSHOT_MAX_PARTS = 64;
/** Frames a viewer holds above its own offset before it asks for a snapshot. */
export const VIEWER_HOLD_MAX_FRAMES = 512;
export const VIEWER_HOLD_MS = 1_000;
/** A re-attach that brought nothing is repeated after this long. */
export const VIEWER_REATTACH_AGAIN_MS = 5 * VIEWER_HOLD_MS;
/** Snapshots a viewer puts together at once: the one asked for last, and the one before it that may still finish first. */
export const VIEWER_OPEN_SNAPSHOTS_MAX = 2;
/** An attach that got no answer, or found no runner, is sent again after this long. */
export const ATTACH_DEADLINE_MS = 5_000;
/** A size that did not arrive (no runner yet, a frame lost) is asked for again this long after it shows. */
export const VIEWER_RESIZE_AGAIN_MS = 500;
/** Characters a viewer's terminal may have waiting to be drawn; beyond it they are dropped for a snapshot. */
export const VIEWER_WRITE_QUEUE_MAX_CHARS = 8 * MIB;
/** Durable events the page keeps of one session; older ones are paged in from the log. */
export const VIEWER_EVENTS_MAX = 2_000;
/** Stored transcript a viewer replays, from the end backwards. */
export const VIEWER_TRANSCRIPT_MAX_BYTES = 16 * MIB;
/** An attach from an address at most this far behind gets the bytes; further behind gets a snapshot. */
export const ATTACH_BYTES_MAX = 256 * KIB;
export const SPOOL_MAX_BYTES = 256 * MIB;

// Checkpoints.
/** One checkpoint, packed; a larger one is not stored, an alert says so, and the session goes on. */
export const CHECKPOINT_MAX_BYTES = 512 * MIB;
/** Number of the last checkpoint that an epoch may store: keys have six digits, and sort by them. */
export const CHECKPOINT_NUMBER_MAX = 999_999;
/** Numbers tried for one checkpoint whose names are all taken; then people are told that it is not stored. */
export const CHECKPOINT_NAMES_MAX = 5;
/** Between two checkpoints at the end of turns; a turn that ends earlier is in the next one. */
export const CHECKPOINT_MIN_INTERVAL_MS = 10_000;
/** After the end of a turn, before its checkpoint begins: the CLI still writes down what it said. */
export const CHECKPOINT_SETTLE_MS = 500;
/** A CLI without turns is checkpointed this often, if its work has changed. */
export const CHECKPOINT_IDLE_INTERVAL_MS = 5 * 60_000;
/** Files of a checkpoint before packing, and how many; beyond either it counts as too large, and a restore refuses it. */
export const CHECKPOINT_UNPACKED_MAX_BYTES = 2048 * MIB;
export const CHECKPOINT_MAX_FILES = 200_000;
/** What ignore rules match (built things, but also `.env`) comes along up to this, by name; the rest is left out and named. */
export const CHECKPOINT_IGNORED_MAX_BYTES = 64 * MIB;
export const CHECKPOINT_IGNORED_MAX_FILES = 20_000;
/** Names of what was left out that the checkpoint tells. */
export const CHECKPOINT_LEFT_OUT_MAX = 100;
/** A file up to this size is read at one time of its life; a larger one may change while it is read. */
export const CHECKPOINT_STEADY_MAX_BYTES = 8 * MIB;
/** Lists of git about a work tree; a longer one fails the checkpoint. */
export const CHECKPOINT_LIST_MAX_BYTES = 64 * MIB;
/** Branches and tags of the agent's own; further ones are left out. */
export const CHECKPOINT_REFS_MAX = 5_000;
/** One transfer of a checkpoint; a longer one counts as failed and is tried again. */
export const CHECKPOINT_TRANSFER_TIMEOUT_MS = 5 * 60_000;
/** Times a checkpoint is fetched before its runner gives the session back, and the first pause between them, doubled each time. */
export const CHECKPOINT_FETCH_TRIES_MAX = 5;
export const CHECKPOINT_FETCH_RETRY_MS = 1_000;
/** Pauses between tries to bring a checkpoint into a workspace while storage or the git host is away; then another runner is to try. */
export const RESTORE_RETRY_MS: readonly number[] = [5_000, 10_000, 20_000, 40_000, 80_000, 160_000];
/** A session that could not be parked, since its checkpoint failed, is tried again after this. */
export const PARK_RETRY_MS = 60_000;

// HTTP bodies.
export const HTTP_BODY_MAX_BYTES = 1 * MIB;
export const PROMPT_MAX_CHARS = 64 * KIB;
export const SCENARIO_MAX_BYTES = 512 * KIB;
export const SCENARIO_MAX_TURNS = 200;
export const SCENARIO_MAX_STEPS = 1_000;
export const PAGE_DEFAULT = 50;
export const PAGE_MAX = 200;
/** Stored events of one page; a page of larger events ends early. Lambda answers 6 MB, in which each quote counts twice. */
export const EVENT_PAGE_MAX_BYTES = 2 * MIB;
export const IDEMPOTENCY_KEY_MAX_CHARS = 128;
/** Live sessions a tenant may hold; the next start is refused with `limit_reached` (plans come later). */
export const TENANT_LIVE_SESSIONS_MAX = 200;

// Diff.
export const DIFF_MAX_FILES = 500;
export const DIFF_PATCH_MAX_BYTES = 512 * KIB;
/** A stored diff as JSON: more than the bounds above make of the worst names and bytes (6 bytes each), so that only a runner gone wrong asks. */
export const DIFF_OBJECT_MAX_BYTES = 10 * MIB;
/** Files named in a `diff_summary` or `file_touched` event; the stored diff has the rest. */
export const EVENT_FILES_MAX = 40;

/** ECS RunTask overrides, serialised (facts/aws.md). */
export const TASK_OVERRIDES_MAX_CHARS = 8_192;
export const AUTHORIZER_CONTEXT_MAX_BYTES = 8 * KIB;
export const LIVE_INDEX_SHARDS = 8;
/** Sessions of a shard that one reaper run reads from the index at once, and looks at side by side. */
export const REAPER_PAGE_MAX = 100;
export const REAPER_AT_ONCE = 5;
/** A reaper or reconciling run begins nothing further after this long; what is left is due in the next. */
export const REAPER_RUN_MS = 50_000;
/** What ends by itself after its epoch was closed (a runner that stores its last word) is left alone this long, then its task is stopped. */
export const ORPHAN_GRACE_MS = 20_000;
/** Tasks of one page of ECS, and pages that one reconciling run looks at: twice a full cell. Beyond it the run fails, and an alarm says so. */
export const RECONCILE_PAGE_TASKS = 100;
export const RECONCILE_PAGES_MAX = 100;
/** Sessions of tasks that are read at once while reconciling. */
export const RECONCILE_READS = 25;
/** Last screen kept with a failed session. */
export const LAST_SCREEN_MAX_CHARS = 8 * KIB;

// Model brokers and the agent's gate.
/** Body of one model API call (the vendor's own limit is 32 MB); larger gets 413. */
export const MODEL_REQUEST_MAX_BYTES = 32 * MIB;
/** Answer of one model API call; a longer one is cut and its connection closed. */
export const MODEL_RESPONSE_MAX_BYTES = 64 * MIB;
/** Model API calls of one session at once; the next gets the vendor's "overloaded". */
export const MODEL_CALLS_MAX = 32;
/** Silence on the upstream socket after which a model call is given up. */
export const MODEL_IDLE_TIMEOUT_MS = 5 * 60_000;
/** One hook request, serialised (a Write carries its whole file); a larger one is refused, which blocks the tool. */
export const HOOK_REQUEST_MAX_BYTES = 8 * MIB;
/** Hook clients connected at once; the next asks again until there is room. */
export const HOOK_CLIENTS_MAX = 64;
/**
 * How long the CLI lets a hook run before it goes on without: longer than any session, since its clock goes on while the session is frozen.
 * The client answers itself after the shorter time, of which frozen time is no part.
 */
export const HOOK_TIMEOUT_MS = SESSION_MAX_DURATION_MS + 60 * 60_000;
export const HOOK_CLIENT_DEADLINE_MS = 570_000;
/** Prompts that wait for the CLI, and in it for the end of a turn; a further one is refused, and its sender told to send it again later. */
export const QUEUED_PROMPTS_MAX = 100;
/** All that wait together, serialised: they are saved with each change of the session, and must fit a checkpoint's manifest. Beyond it as above. */
export const QUEUED_PROMPTS_MAX_BYTES = MIB;
/** Prompts that an epoch leaves to the next: those, and what the runner itself asks a CLI whose turn was cut or moved. */
export const PENDING_PROMPTS_MAX = QUEUED_PROMPTS_MAX + 2;
export const PENDING_PROMPTS_MAX_BYTES = 2 * QUEUED_PROMPTS_MAX_BYTES;
/** `--version` of a CLI (Gemini takes 1.4 s). */
export const CLI_VERSION_TIMEOUT_MS = 5_000;
/** New transcript bytes read per look; the rest waits for the next. */
export const CLI_TRANSCRIPT_READ_MAX_BYTES = 4 * MIB;

// Workspaces and git (architecture §12).
/** One git call that copies or fetches a whole repository. */
export const GIT_CLONE_TIMEOUT_MS = 110_000;
/** One git call that only reads or writes a little. */
export const GIT_COMMAND_TIMEOUT_MS = 20_000;
/** Waiting for another session that fetches the same repository. */
export const MIRROR_LOCK_TIMEOUT_MS = 110_000;
/** Output of one git call that is read as a list; a longer one is cut at the last whole record. */
export const GIT_OUTPUT_MAX_BYTES = 16 * MIB;
/** Standard error kept of one git call: its end, where git says what was wrong. */
export const GIT_STDERR_MAX_BYTES = 8 * KIB;
/** A file git treats as binary without reading it into memory. */
export const GIT_BIG_FILE_BYTES = 8 * MIB;
/** Untracked files the diff looks at; more leave it `truncated`. */
export const DIFF_UNTRACKED_MAX_FILES = 20_000;
/** Added and deleted files compared for renames. */
export const DIFF_RENAME_MAX_FILES = 400;
/** The agent's index, copied to tell staged from unstaged; a larger one counts as nothing staged. */
export const GIT_INDEX_MAX_BYTES = 256 * MIB;
/** A small file of the agent's `.git` (HEAD, a ref, info/exclude). */
export const GIT_SMALL_FILE_MAX_BYTES = 256 * KIB;
/** `packed-refs` of the agent's `.git`. */
export const GIT_PACKED_REFS_MAX_BYTES = 32 * MIB;
/** A path in a workspace, in bytes (Linux: PATH_MAX); longer is refused. */
export const WORKSPACE_PATH_MAX_BYTES = 4_096;
/** Symbolic links followed while a path is resolved (Linux: 40); more is refused. */
export const SYMLINKS_MAX = 40;
/** File changes are reported in batches this far apart. */
export const WATCH_BATCH_MS = 300;
/** Paths of one batch; more become one `overflow`. */
export const WATCH_BATCH_MAX_PATHS = 2_000;
/** Folders watched of one workspace (each takes an inotify watch); the rest shows in the diff alone. */
export const WATCH_MAX_FOLDERS = 8_000;
/** A workspace whose lease was not renewed for this long (it is with each usage tick) and whose session is not live is an orphan. */
export const WORKSPACE_LEASE_MS = 90_000;
/** An orphan is removed when its lease has stood still for this long of looking: then it is gone 180 s after its runner. */
export const WORKSPACE_SWEEP_CONFIRM_MS = 45_000;

// pty-host.
/** Output kept per process until acknowledged; beyond it the PTY is not read and the program blocks. */
export const PTY_UNACKED_MAX_BYTES = 1 * MIB;
/** Output of a process on its way to the runner; the rest waits here, so that another one's echo never stands behind a flood. */
export const PTY_SEND_WINDOW_BYTES = 128 * KIB;
/** A runner that acknowledges nothing for this long gets a piece more: it may need it to come to a place where it can. */
export const PTY_SEND_WAIT_MS = 20;
/** Bytes of output that leave in one frame at most. */
export const PTY_OUTPUT_PIECE_MAX_BYTES = 64 * KIB;
/** Output that follows other output within this time is gathered for as long. */
export const PTY_COALESCE_MS = 2;
/** What floods stands still from another session's key to its echo, at most so long; then it goes on for at least the gap, however fast keys come. */
export const PTY_ECHO_YIELD_MS = 5;
export const PTY_ECHO_YIELD_GAP_MS = 5;
/** Largest frame on the socket; a larger one ends the connection. */
export const PTY_FRAME_MAX_BYTES = 2 * MIB;
/** Input a program has not read yet; beyond it a write is refused. */
export const PTY_INPUT_QUEUE_MAX_BYTES = 256 * KIB;
/** Processes held at once, ended and unacknowledged ones included; beyond it a spawn is refused. */
export const PTY_PROCESSES_MAX = 2 * RUNNER_SESSIONS_MAX;
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
/** Processes of a session that are remembered from one look to the next; those beyond are found by mark, session and parent only. */
export const PTY_KNOWN_PIDS_MAX = 4_096;
/** After a thaw, programs that stop themselves because their child was stopped are sent on; later ones were stopped by somebody. */
export const PTY_THAW_SETTLE_MS = 150;
/** At most so long for programs that have not looked at the signal yet; one that never looks does not hold the thaw up. */
export const PTY_THAW_SETTLE_MAX_MS = 2_000;
/** Runner restarts: first and longest delay, and the crashes within a window after which pty-host gives up. */
export const RUNNER_RESTART_FIRST_MS = 100;
export const RUNNER_RESTART_MAX_MS = 5_000;
export const RUNNER_CRASHES_MAX = 5;
export const RUNNER_CRASH_WINDOW_MS = 60_000;
/** Crashes within the window when each runner had taken up its session before the next one. */
export const RUNNER_CRASHES_SETTLED_MAX = 30;
/** Lanes of writes that a process remembers so that none is written twice; the oldest is forgotten. */
export const PTY_LANES_MAX = 512;

// Terminal stream.
/** An unfinished control sequence held back; a longer one is dropped (CSI, clipboard) or let through unfinished (strings). */
export const CONTROL_HELD_MAX_CHARS = 4 * KIB;
/** Known secrets of a session, and their length; shorter ones would mask half of every text, more or longer ones are refused. */
export const SECRETS_MAX = 256;
export const SECRET_MIN_CHARS = 6;
export const SECRET_MAX_CHARS = 8 * KIB;
/** Silence after which a held-back beginning of a secret is masked. */
export const REDACTOR_HOLD_MS = 50;
/** A shorter beginning of a secret is shown at once (an echo must not wait): of a secret in pieces, one character less may leave. */
export const REDACTOR_SHOWN_PREFIX_MAX_CHARS = 4;
/** Spool files: a segment that is full is followed by the next; over the total the oldest is dropped and declared. */
export const SPOOL_SEGMENT_BYTES = 16 * MIB;
/** When output came is marked in the spool this often, and so many marks are kept: of older bytes the time is in the stored chunks. */
export const SPOOL_TIME_EVERY_MS = 250;
export const SPOOL_TIMES_MAX = 2_000;
/** Resize marks, time marks and checkpoints are rewritten without the outdated ones beyond this. */
export const SPOOL_MARKS_MAX_BYTES = 256 * KIB;
/** What the screen model reads at once; then everything else has its turn. */
export const SCREEN_SLICE_CHARS = 16 * KIB;
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
/** Somebody who typed this recently waits for what comes; without such input people only look on, and each frame is a message on the bill. */
export const FLUSH_LED_WINDOW_MS = 30_000;
export const FLUSH_WATCHED_MS = 500;
/** Looked on at for so many frames without a pause, a long answer comes in larger pieces. */
export const FLUSH_STEADY_FRAMES = 10;
export const FLUSH_STEADY_MS = 1_000;
/** Looked on at, frame after frame smaller than this is a spinner or a clock: after FLUSH_TRICKLE_FRAMES of them once in FLUSH_TRICKLE_MS. */
export const FLUSH_TRICKLE_BYTES = 1 * KIB;
export const FLUSH_TRICKLE_FRAMES = 4;
export const FLUSH_TRICKLE_MS = 2_000;

// Runner: live view and transcript.
/** Bytes that may wait on the runner's socket; beyond it live frames pause until a quarter is left, then a snapshot follows. */
export const LINE_BUFFER_MAX_BYTES = 512 * KIB;
/** Between two rounds of snapshots for everybody; a flood of output asks for more and gets them later. */
export const SNAPSHOT_EVERY_MS = 400;
/** A snapshot as JSON, so that its parts are at most SNAPSHOT_MAX_PARTS; a larger one loses its oldest scrollback lines, then its colours. */
export const SNAPSHOT_MAX_BYTES = SNAPSHOT_MAX_PARTS * (FRAME_MAX_BYTES - 2 * FRAME_ENVELOPE_BYTES);
/** Bytes of transcript chunks that wait to be stored; beyond it a chunk is given up and its gap declared. */
export const TRANSCRIPT_WAITING_MAX_BYTES = 64 * MIB;
/** Without a grant for this long an upload is asked for again. */
export const UPLOAD_GRANT_WAIT_MS = 15_000;
/** Times an upload is asked for; then it is given up, as a newer one follows. A transcript chunk is asked for as long as the session lives. */
export const UPLOAD_TRIES_MAX = 6;
/** Before an upload that failed is asked for again: a span that begins with this, doubles with each failure, and is bounded. */
export const UPLOAD_RETRY_MS = 1_000;
export const UPLOAD_RETRY_MAX_MS = 60_000;
/** One PUT of an object; a longer one counts as failed. */
export const UPLOAD_PUT_TIMEOUT_MS = 60_000;

// Runner: input.
/** After a reset the viewer goes on this far above everything it may have sent; a jump it outruns would mix old input with new. */
export const INPUT_RESET_JUMP = 1_000;
/** Lanes kept, one per viewer and control term; beyond it the oldest is forgotten, and its viewer is reset. */
export const INPUT_LANES_MAX = 256;
/** API inputs whose numbers are remembered, so that one that is posted again is typed once; older ones are refused. */
export const API_INPUT_REMEMBERED = 128;

// Runner: a crash, a full disk.
/** Credentials are asked for again this long after nobody answered, while a session waits for them after a crash. */
export const CREDENTIALS_RETRY_MS = 2_000;
/** The model broker's port may be in use for a moment; held longer it is somebody else's, and the session ends. */
export const MODEL_PORT_WAIT_MS = 5_000;
export const MODEL_PORT_RETRY_MS = 100;
/** A full disk is tried again this often. */
export const DISK_RETRY_MS = 1_000;
/** Writes that wait for room, a frozen session's ticks first of all; beyond it the runner process ends. */
export const DISK_WRITES_WAITING_MAX = 10_000;

// Runner: files and counters.
/** A diff is made this long after a change, and not again before the pause is over: later changes wait for it. */
export const DIFF_DEBOUNCE_MS = 700;
export const DIFF_PAUSE_MS = 5_000;
/** The same while nobody watches, as for chunks of the transcript; whoever begins to watch gets one after DIFF_PAUSE_MS. */
export const DIFF_UNWATCHED_PAUSE_MS = 5 * 60_000;
/** Paths remembered as reported; beyond it one may be reported again. */
export const TOUCHED_SEEN_MAX_PATHS = 100_000;
/** Distinct paths that `filesTouched` counts; further ones are not counted. */
export const USAGE_MAX_PATHS = 100_000;

// Runner: connection and end.
/** Silence after which a line is dead although nobody closed it: longer than a heartbeat and its answer may take. */
export const LINE_QUIET_MAX_MS = HEARTBEAT_MS + 15_000;
/** Steps of a session's end; one that takes longer is logged and the next begins. */
export const END_BOOT_RETURN_MS = 15_000;
export const END_STEP_MS = 15_000;
export const END_STORE_MS = 30_000;
/** Waiting for the last acknowledgement: nothing runs any more, and a cut line needs time to come back. Then the runner goes. */
export const END_LAST_ACK_MS = 120_000;
/** The same for a runner that was started again only to deliver what was recorded. */
export const RESTARTED_LAST_ACK_MS = 60_000;
/**
 * The same once the epoch is over elsewhere: what was recorded is kept beside its log for as long as each batch is answered within this,
 * sent a second time where the first was lost. Then the runner goes, without what nobody took.
 */
export const LATE_ANSWER_MS = 8_000;
/** Part of what is left of a drain's time that one step of the end may take. */
export const DRAIN_STEP_SHARE = 0.3;
/** Part of it that storing the last diff, transcript and checkpoint may take, side by side, and the acknowledgements after them. */
export const DRAIN_STORE_SHARE = 0.6;
/** Prompts on their way to the CLI are waited for this long before it is told to stop. */
export const END_PROMPTS_MS = 3_000;
/** Kept of DRAIN_MS for the runner process to end after its session has. */
export const DRAIN_RESERVE_MS = 2_000;
/** Between SIGTERM and SIGKILL when pty-host itself ends and nobody waits for its sessions. */
export const PTY_LAST_GRACE_MS = 500;
/** One message of the gateway to the runner; a larger one closes the line, which is dialled again. */
export const LINE_MESSAGE_MAX_BYTES = 128 * KIB;

// Runner: several sessions on one line.
/** Bytes on the socket that are not with the kernel yet; what else is to leave waits in the queues of its sessions. */
export const LINE_WINDOW_BYTES = 2 * FRAME_MAX_BYTES;
/** Live frames that wait, of all sessions of a runner, each with an equal part; a further one is dropped, and its viewers attach again. */
export const LINE_QUEUE_MAX_BYTES = 32 * MIB;
/** Batches and acknowledgements of one session that wait; a further one is dropped like one the gateway loses, and sent again. */
export const LINE_FIRST_MAX_BYTES = 256 * KIB;
/** Epochs a runner remembers to have ended or refused: told again, none of them begins there again. The oldest is forgotten first. */
export const ANSWERED_ASSIGNS_MAX = 1_000;
/** A session of an earlier runner process that could not be taken up (too many open files, a disk that does not answer) is tried again. */
export const TAKE_UP_RETRY_MS = 5_000;
/** A runner that is asked to drain gives a session back when its CLI has been at rest for this long, and at the latest after the bound. */
export const HAND_OVER_QUIET_MS = 3_000;
export const HAND_OVER_MAX_MS = 10 * 60_000;
export const HAND_OVER_LOOK_MS = 500;
/** Folders that belong to no session any more are looked for this often by every runner. */
export const WORKSPACE_SWEEP_MS = 15_000;
/** The start that an idle runner rehearses; one that takes longer is given up, and the runner offers itself all the same. */
export const REHEARSAL_MAX_MS = 5_000;
/** A runner that was just killed lets its state folder go within this; a longer wait means that another one uses it. */
export const STATE_LOCK_WAIT_MS = 3_000;

// Retention of what is found by its key only.
/** Credentials and control rows outlive every session by far (8 h), and are then forgotten. */
export const SESSION_SIDE_ROWS_TTL_MS = 60 * 24 * 60 * 60_000;
/** Late batches kept per closed epoch; what comes after is refused without being kept. */
export const ANNEX_MAX_BATCHES = 1_000;
/** Chunks listed by one transcript request; the next asks from the end of the last. */
export const TRANSCRIPT_PAGE_DEFAULT = 200;
export const TRANSCRIPT_PAGE_MAX = 1_000;

// Archive of finished sessions.
/** A finished session is archived this long after its end: what was still on its way (annex) has come by then; later rows follow. */
export const ARCHIVE_AFTER_MS = 30 * 60_000;
/** How long archived rows stay in the table after their copy was read back; then DynamoDB forgets them. */
export const ARCHIVE_KEEP_MS = 7 * 24 * 60 * 60_000;
/** Stored rows of one archive object, before compression; further ones begin the next object. A page of history reads two at most. */
export const ARCHIVE_OBJECT_MAX_BYTES = 4 * MIB;
/** One archive object unpacked: the last row may stand over the bound above, and a row is at most what DynamoDB holds (400 KB). */
export const ARCHIVE_UNPACKED_MAX_BYTES = ARCHIVE_OBJECT_MAX_BYTES + MIB;
/** Sessions one run of the archive looks at per shard; the rest is due in the next. */
export const ARCHIVE_PAGE_MAX = 25;
/** A run begins no further session after this long. */
export const ARCHIVE_RUN_MS = 40_000;
/** A session whose archive failed is tried again after this long, its rows untouched. */
export const ARCHIVE_RETRY_MS = 60 * 60_000;

// Replay.
/** Terminal bytes one request makes an asciicast of; a longer session is exported by the command line, chunk by chunk. */
export const CAST_REQUEST_MAX_BYTES = 24 * MIB;
/** Markers of one asciicast; beyond it those of single tools are left out first, then the latest. */
export const CAST_MARKERS_MAX = 2_000;
export const CAST_MARKER_MAX_CHARS = 80;
/** Terminal bytes the page plays at once; a longer session is played in parts of this size. */
export const CAST_PART_MAX_BYTES = 16 * MIB;
/** A pause of the recording is played no longer than this; the file keeps it as it was. */
export const CAST_IDLE_LIMIT_MS = 2_000;

// Table streams.
/** Times one record of a table's stream is handed to its function; then it goes to the dead letters and the shard goes on. */
export const STREAM_RETRIES = 5;
/** A record of a table's stream older than this is not retried any more: who missed it reads the log. */
export const STREAM_RECORD_MAX_AGE_MS = 5 * 60_000;

// Runner: error reports.
/** Reports that wait to be sent; a further one is dropped, the log has its line. */
export const ERROR_REPORTS_MAX = 20;
/** One report on its way; a longer one is given up. */
export const ERROR_REPORT_TIMEOUT_MS = 3_000;
/** Each text of a report; the rest is cut. */
export const ERROR_REPORT_MAX_CHARS = 8 * KIB;
