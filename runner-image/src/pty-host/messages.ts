/** What runner and pty-host say to each other besides bytes; parsed on both ends, since either may be of another build. */
import { z } from 'zod';
import { TERMINAL_COLS_MAX, TERMINAL_ROWS_MAX } from '../../../shared/limits.ts';

const cols = z.int().min(1).max(TERMINAL_COLS_MAX);
const rows = z.int().min(1).max(TERMINAL_ROWS_MAX);
const id = z.string().min(1).max(200);
const noNul = z.string().refine((text) => !text.includes('\0'), 'contains NUL');

/** A program under a PTY. `env` is the whole environment: node-pty adds PWD (= cwd) and TERM where missing, pty-host the session mark. */
export const SpawnSpec = z.strictObject({
  id,
  file: noNul.min(1),
  args: z.array(noNul),
  env: z.record(noNul.min(1), noNul),
  cwd: noNul.min(1),
  cols,
  rows,
  uid: z.int().min(0).optional(),
  gid: z.int().min(0).optional(),
});
export type SpawnSpec = z.infer<typeof SpawnSpec>;

export const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const;
export type PtySignal = (typeof SIGNALS)[number];

const call = { req: z.int().min(1) };
const lane = z.string().min(1).max(200);
const onProcess = { ...call, handle: z.int().min(0) };
export const Request = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('spawn'), ...call, spec: SpawnSpec }),
  z.strictObject({ op: z.literal('adopt'), ...call, id, fromOffset: z.int().min(0) }),
  z.strictObject({ op: z.literal('list'), ...call }),
  /** A write that may be repeated: under one lane each number is written at most once, in rising order. */
  z.strictObject({ op: z.literal('type'), ...onProcess, text: z.string(), lane, number: z.int().min(1) }),
  /** The runner has taken its sessions up: a crash that follows does not count as one in a row. */
  z.strictObject({ op: z.literal('settled'), ...call }),
  z.strictObject({ op: z.literal('resize'), ...onProcess, cols, rows }),
  z.strictObject({ op: z.literal('signal'), ...onProcess, signal: z.enum(SIGNALS) }),
  z.strictObject({ op: z.literal('freeze'), ...onProcess }),
  z.strictObject({ op: z.literal('thaw'), ...onProcess }),
  /** `atOnce`: without time to clean up, which one that is frozen would need to run for. */
  z.strictObject({ op: z.literal('kill'), ...onProcess, atOnce: z.boolean().default(false) }),
  z.strictObject({ op: z.literal('release'), ...onProcess }),
]);
export type Request = z.infer<typeof Request>;
/** One request without its number. */
export type RequestBody = Request extends infer R ? (R extends unknown ? Omit<R, 'req'> : never) : never;

export const ListedProcess = z.strictObject({
  id,
  handle: z.int().min(0),
  pid: z.int().min(1),
  mark: z.string(),
  ackedOffset: z.int().min(0),
  endOffset: z.int().min(0),
  frozen: z.boolean(),
  exited: z.boolean(),
  /** The last number written in each lane. */
  lanes: z.array(z.tuple([lane, z.int().min(1)])),
});
export type ListedProcess = z.infer<typeof ListedProcess>;

export const ERROR_CODES = [
  'unknown_process',
  'duplicate_id',
  'too_many',
  'spawn_failed',
  'offset_gone',
  'input_full',
  'left_over',
  'exited',
  'failed',
  /** Only on the runner's side: nobody answered. */
  'host_gone',
] as const;
export type PtyErrorCode = (typeof ERROR_CODES)[number];

/** Host → runner. `exit` follows the last byte, once per attach. */
export const HostMessage = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('ok'),
    req: z.int(),
    process: ListedProcess.optional(),
    processes: z.array(ListedProcess).optional(),
  }),
  z.strictObject({ op: z.literal('error'), req: z.int(), code: z.enum(ERROR_CODES), message: z.string() }),
  z.strictObject({
    op: z.literal('exit'),
    handle: z.int(),
    exitCode: z.int(),
    signal: z.int().nullable(),
    endOffset: z.int().min(0),
  }),
]);
export type HostMessage = z.infer<typeof HostMessage>;

/** A request that pty-host refused; `code` says why. */
export class PtyError extends Error {
  readonly code: PtyErrorCode;
  constructor(code: PtyErrorCode, message: string) {
    super(message);
    this.name = 'PtyError';
    this.code = code;
  }
}
