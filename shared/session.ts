/** A session: its states, the only transitions between them, and what a start may ask for. */
import { z } from 'zod';
import { AgentId, BuildId, Epoch, OffsetBytes, RunnerId, SessionId, TenantId, TimestampMs, UserId } from './ids.ts';
import {
  PARK_AFTER_MAX_MS,
  PARK_AFTER_MS,
  PROMPT_MAX_CHARS,
  SESSION_IDLE_MS,
  SESSION_MAX_DURATION_MS,
  TERMINAL_COLS_MAX,
  TERMINAL_DEFAULT,
  TERMINAL_ROWS_MAX,
} from './limits.ts';
import { ProviderId } from './providers.ts';
import { WorkspacePath } from './scenario.ts';

export const SESSION_STATES = [
  'created',
  'preparing_workspace',
  'starting_provider',
  'running',
  'waiting_for_approval',
  'paused_by_human',
  'stopping',
  'completed',
  'failed',
] as const;
export const SessionState = z.enum(SESSION_STATES);
export type SessionState = z.infer<typeof SessionState>;

/** The plan's states. Stop and failure are possible from every live state; nothing leaves a final one. */
export const SESSION_TRANSITIONS: Readonly<Record<SessionState, readonly SessionState[]>> = {
  created: ['preparing_workspace', 'stopping', 'completed', 'failed'],
  preparing_workspace: ['starting_provider', 'stopping', 'failed'],
  starting_provider: ['running', 'stopping', 'failed'],
  running: ['waiting_for_approval', 'paused_by_human', 'stopping', 'completed', 'failed'],
  waiting_for_approval: ['running', 'paused_by_human', 'stopping', 'failed'],
  paused_by_human: ['running', 'waiting_for_approval', 'stopping', 'failed'],
  stopping: ['completed', 'failed'],
  completed: [],
  failed: [],
};

export const isFinal = (state: SessionState): boolean => SESSION_TRANSITIONS[state].length === 0;
export const canMove = (from: SessionState, to: SessionState): boolean => SESSION_TRANSITIONS[from].includes(to);
/** A session whose epoch was lost, drained or parked starts again as `created`: by raising an epoch, never by a runner's batch. */
export const canResume = (from: SessionState): boolean => !isFinal(from) && from !== 'stopping';

/** What people asked of the session, written by the control plane only. `stop` absorbs everything after it. */
export const DesiredState = z.enum(['run', 'pause', 'stop']);
export type DesiredState = z.infer<typeof DesiredState>;

export const TaskSpec = z.strictObject({
  title: z.string().min(1).max(200),
  goal: z.string().max(4_000).default(''),
  constraints: z.array(z.string().max(500)).max(20).default([]),
  acceptance: z.array(z.string().max(500)).max(20).default([]),
  branch: z.string().max(200).optional(),
  roomPath: WorkspacePath.optional(),
});
export type TaskSpec = z.infer<typeof TaskSpec>;

/**
 * `https://…`, `ssh://…`, `git@host:path`, `file:///…` or an absolute path; what else git would take is refused, as is a user or host
 * that begins with `-`, which ssh would read as an option.
 */
export const RepositoryAddress = z
  .string()
  .min(1)
  .max(1_000)
  .refine(
    (value) =>
      !/[\0\n\r]/.test(value) &&
      (/^(https?|ssh):\/\/([^\s/@-][^\s/@]*@)?[^\s/@-][^\s/@]*([/?#]\S*)?$/.test(value) ||
        /^file:\/\/\//.test(value) ||
        /^\/[^\0]*$/.test(value) ||
        /^[\w.][\w.-]*@[\w.][\w.-]*:[^-\s][^\s]*$/.test(value)),
    'must be an https or ssh address, git@host:path, or an absolute path',
  );

export interface SplitRepository {
  /** What may be stored and shown: nothing secret is in it. */
  readonly url: string;
  /** As written: percent-encoded. Over ssh the user stays in the address, which needs it. */
  readonly username?: string;
  readonly password?: string;
}

/**
 * Takes what gives access out of a repository address. Over http that is the user as well: hosts take a token as user without a
 * password. Splits by characters, since also an address that no URL parser takes must not be stored with its password.
 */
export const splitRepositoryCredentials = (address: string): SplitRepository => {
  const [, scheme = '', authority = '', rest = ''] = /^(https?:\/\/|ssh:\/\/)([^/]*)(.*)$/is.exec(address) ?? [];
  const at = authority.lastIndexOf('@');
  if (at === -1) return { url: address };
  const user = authority.slice(0, at);
  const host = authority.slice(at + 1);
  const colon = user.indexOf(':');
  const name = colon === -1 ? user : user.slice(0, colon);
  const password = colon === -1 ? '' : user.slice(colon + 1);
  const secret = password === '' ? {} : { password };
  if (scheme.toLowerCase() === 'ssh://')
    return { url: `${scheme}${name === '' ? '' : `${name}@`}${host}${rest}`, ...secret };
  return { url: `${scheme}${host}${rest}`, ...(name === '' ? {} : { username: name }), ...secret };
};

const gitRef = z
  .string()
  .min(1)
  .max(250)
  .regex(/^(?!-)[^\s~^:?*[\\\0]+$/, 'must be a branch, tag or commit name');

export const RepositorySpec = z.strictObject({
  url: RepositoryAddress,
  /** Branch, tag or commit; the remote's HEAD when absent. */
  ref: gitRef.optional(),
  /** Top folder the agent works in. */
  roomPath: WorkspacePath.optional(),
});
export type RepositorySpec = z.infer<typeof RepositorySpec>;

export const TerminalSize = z.strictObject({
  cols: z.int().min(2).max(TERMINAL_COLS_MAX),
  rows: z.int().min(2).max(TERMINAL_ROWS_MAX),
});
export type TerminalSize = z.infer<typeof TerminalSize>;

export const ModelChoice = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$/);

/** Where a session asks to run: on the platform's own tasks, or on a group of customer-hosted runners. */
export const HOSTED_POOL = 'hosted';
export const Pool = z.string().regex(/^[a-z0-9][a-z0-9-]{0,40}$/, 'must be lower-case letters, digits and -');
export const RunnerGroup = Pool.refine(
  (name) => name !== HOSTED_POOL,
  `"${HOSTED_POOL}" is the platform's own pool: choose another name`,
);

/** What runs the current epoch; `null` while none does. */
export const Placement = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('task'), taskArn: z.string() }),
  /** An idle task of the warm pool that was claimed. */
  z.strictObject({ kind: z.literal('warm'), runnerId: RunnerId, taskArn: z.string() }),
  z.strictObject({ kind: z.literal('group'), runnerId: RunnerId, group: RunnerGroup }),
]);
export type Placement = z.infer<typeof Placement>;

/** What `assign` carries to the runner. Prompt, task and scenario are fetched over HTTP: a frame holds 32 KiB. */
export const SessionConfig = z.strictObject({
  sessionId: SessionId,
  tenantId: TenantId,
  agentId: AgentId,
  provider: ProviderId,
  buildId: BuildId,
  model: ModelChoice,
  repository: RepositorySpec,
  terminal: TerminalSize.default(TERMINAL_DEFAULT),
  maxDurationMs: z.int().min(10_000).max(SESSION_MAX_DURATION_MS).default(SESSION_MAX_DURATION_MS),
  idleMs: z.int().min(1_000).max(SESSION_IDLE_MS).default(SESSION_IDLE_MS),
  /** Completes by itself once its prompt (scripted: every turn of its scenario) is done and nobody leads it. */
  endWhenDone: z.boolean().default(false),
  pool: Pool.default(HOSTED_POOL),
  /** A session that waits for a person this long is checkpointed and its runner let go. */
  parkAfterMs: z.int().min(1_000).max(PARK_AFTER_MAX_MS).default(PARK_AFTER_MS),
});
export type SessionConfig = z.infer<typeof SessionConfig>;

/** Large or private inputs of a start, answered by `POST /api/runner/credentials` only. */
export const SessionInputs = z.strictObject({
  prompt: z.string().max(PROMPT_MAX_CHARS).optional(),
  task: TaskSpec.optional(),
});
export type SessionInputs = z.infer<typeof SessionInputs>;

/** Boot steps as the page names them; each has a limit in limits.ts. */
export const BootStep = z.enum(['launching', 'connecting', 'preparing_workspace', 'starting_provider', 'proving_gate']);
export type BootStep = z.infer<typeof BootStep>;

/** Why a session is in its state, for people and for scripts. */
export const StateReason = z.strictObject({
  code: z.string().max(80),
  message: z.string().max(2_000),
  hint: z.string().max(1_000).optional(),
  step: BootStep.optional(),
  /** Last screen as text, with a failed start. */
  lastScreen: z.string().optional(),
});
export type StateReason = z.infer<typeof StateReason>;

export const StreamAddress = z.strictObject({ epoch: Epoch, offset: OffsetBytes });
export type StreamAddress = z.infer<typeof StreamAddress>;

/** The session as the API shows it. Stable for scripts: fields are added, never changed. */
export const SessionView = z.object({
  sessionId: SessionId,
  agentId: AgentId,
  state: SessionState,
  reason: StateReason.nullable(),
  desired: DesiredState,
  provider: ProviderId,
  model: z.string(),
  buildId: BuildId,
  repository: RepositorySpec,
  title: z.string(),
  epoch: z.int().min(0),
  head: z.strictObject({ epoch: z.int().min(0), offset: OffsetBytes, seq: z.int().min(0) }),
  createdBy: UserId,
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  lastEventAt: z.iso.datetime(),
  startedAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
  taskArn: z.string().nullable(),
  pool: Pool,
  placement: Placement.nullable(),
  /** From 1: how many sessions of its pool start before or as this one; `null` when it does not wait for a runner. */
  queuePosition: z.int().min(1).nullable(),
  /**
   * Nothing runs it: its runner was let go or lost. Paused, or parked while it waited for a person, it goes on by `resume`; otherwise by
   * itself, from its checkpoint.
   */
  parked: z.boolean(),
  usage: z.strictObject({
    agentMs: z.int(),
    waitingMs: z.int(),
    terminalBytes: z.int(),
    filesTouched: z.int(),
    commands: z.int(),
  }),
});
export type SessionView = z.infer<typeof SessionView>;

/** A browser or a command line, in words for people: shown in the terminals of others, so without control characters. */
export const Device = z
  .string()
  .max(60)
  .regex(/^\P{Cc}*$/u, 'must be plain text');
export const Presence = z.strictObject({
  viewerId: z.string(),
  mode: z.enum(['control', 'watch']),
  userId: UserId,
  sinceMs: TimestampMs,
  device: Device.default(''),
});
export type Presence = z.infer<typeof Presence>;
/** A watcher asks for the keyboard; `declined`: the leader keeps it. */
export const ControlRequest = z.strictObject({ viewerId: z.string(), sinceMs: TimestampMs, declined: z.boolean() });
export type ControlRequest = z.infer<typeof ControlRequest>;
