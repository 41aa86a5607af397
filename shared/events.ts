/** The durable events: append-only, immutable, the same for every provider. The runner numbers them `rseq`, the store gives `seq`. */
import { z } from 'zod';
import {
  ApprovalId,
  BuildId,
  Epoch,
  OffsetBytes,
  RunnerId,
  SessionId,
  TenantId,
  TimestampMs,
  UserId,
  ViewerId,
} from './ids.ts';
import { EVENT_FILES_MAX } from './limits.ts';
import { ApprovalCategory, ApprovalDecision, ApprovalRequest } from './policy.ts';
import { GateProof, ProviderId } from './providers.ts';
import { BootStep, DesiredState, Device, SessionState, StateReason } from './session.ts';
import { TokenCounts, UsageCounters } from './usage.ts';

export const EVENT_VERSION = 1;

const text = (max: number) => z.string().max(max);
const count = z.int().min(0);
const ms = z.int().min(0);
const toolCall = { toolUseId: text(120), toolName: text(120) };
const path = text(1_024);

export const DiffFile = z.strictObject({
  path,
  oldPath: path.optional(),
  status: z.enum(['added', 'modified', 'deleted', 'renamed', 'type_changed']),
  staged: z.boolean(),
  binary: z.boolean(),
  added: count,
  removed: count,
});
export type DiffFile = z.infer<typeof DiffFile>;

/** Body of each event type, without the envelope. */
export const EVENT_BODIES = {
  session_created: { provider: ProviderId, buildId: BuildId, createdBy: UserId, title: text(200) },
  session_queued: { position: count },
  session_assigned: { runnerId: RunnerId, runnerVersion: text(80), dial: count },
  session_state_changed: { fromState: SessionState, toState: SessionState, reason: StateReason.nullable() },
  session_parked: { approvalId: ApprovalId.optional(), checkpointKey: text(500) },
  /** The runner gave its session back in order; it goes on elsewhere. Last event of its epoch. */
  epoch_drained: { why: text(200), checkpointKey: text(500).nullable() },
  session_resumed: { fromEpoch: Epoch, checkpointKey: text(500).nullable() },
  session_ended: { state: SessionState, reason: StateReason.nullable(), durationMs: ms },

  workspace_preparing: { repository: text(1_000), ref: text(250).nullable(), step: BootStep },
  workspace_ready: {
    headCommit: text(64),
    branch: text(250).nullable(),
    mirror: z.enum(['cold', 'warm', 'none']),
    tookMs: ms,
  },
  workspace_checkpointed: { checkpointKey: text(500), sizeBytes: count, sha256: text(64) },
  workspace_cleaned: { tookMs: ms },

  provider_started: {
    provider: ProviderId,
    cliVersion: text(60),
    pid: count,
    isolation: z.enum(['own_uid', 'shared_uid']),
  },
  provider_ready: { tookMs: ms, degraded: z.boolean() },
  provider_message: { role: z.enum(['assistant', 'user', 'system']), text: text(8_000) },
  provider_idle: { turnsDone: count },
  provider_exited: { exitCode: z.int().nullable(), signal: z.int().nullable(), expected: z.boolean() },

  turn_started: { turn: count, prompt: text(2_000) },
  turn_finished: { turn: count, tookMs: ms },

  tool_requested: { ...toolCall, summary: text(2_000) },
  tool_started: { ...toolCall, summary: text(2_000) },
  tool_finished: { ...toolCall, ok: z.boolean(), tookMs: ms },
  tool_denied: { ...toolCall, rule: text(120), reason: text(1_000) },

  approval_requested: ApprovalRequest.shape,
  approval_resolved: { approvalId: ApprovalId, decision: ApprovalDecision },
  approval_expired: { approvalId: ApprovalId, why: z.enum(['timeout', 'provider_gone', 'stopping']) },

  input_received: { viewerId: ViewerId.nullable(), sizeBytes: count, source: z.enum(['viewer', 'api', 'prompt']) },
  /** The keyboard went from one viewer to another: allowed by who had it, free because they left or gave it back, or taken. */
  control_taken: {
    viewerId: ViewerId,
    userId: UserId,
    device: Device,
    controlTerm: count,
    from: z.strictObject({ viewerId: ViewerId, userId: UserId, device: Device }),
    how: z.enum(['allowed', 'free', 'taken']),
  },

  file_touched: {
    files: z.array(z.strictObject({ path, kind: z.enum(['added', 'modified', 'deleted']) })).max(EVENT_FILES_MAX),
    /** More files than fit; the diff is the truth. */
    more: count,
  },
  diff_summary: {
    files: z.array(DiffFile).max(EVENT_FILES_MAX),
    fileCount: count,
    linesAdded: count,
    linesRemoved: count,
    truncated: z.boolean(),
    key: text(500).nullable(),
  },
  commit_created: { commit: text(64), subject: text(500) },
  branch_pushed: { branch: text(250), commit: text(64) },
  pull_request_opened: { url: text(1_000), number: count },

  test_run_started: { command: text(1_000), framework: text(60) },
  test_run_finished: { command: text(1_000), framework: text(60), exitCode: z.int(), tookMs: ms },

  command_executed: { command: text(2_000), exitCode: z.int().nullable(), tookMs: ms.nullable() },
  policy_violation: { rule: text(120), category: ApprovalCategory.nullable(), summary: text(1_000) },
  secret_redacted: { count, where: z.enum(['terminal', 'event', 'diff']) },
  gate_proven: { proof: GateProof, cliInstanceId: text(80) },
  gate_lost: { reason: text(500) },
  session_frozen: { frozen: z.boolean(), reason: text(500) },

  terminal_resized: { cols: count, rows: count, sizeRev: count },
  transcript_chunk_stored: {
    number: count,
    firstOffset: OffsetBytes,
    endOffset: OffsetBytes,
    key: text(500),
    sizeBytes: count,
    sha256: text(64),
  },
  stream_gap: { fromOffset: OffsetBytes, toOffset: OffsetBytes, reason: text(200) },
  event_rejected: {
    originalType: text(80),
    sizeBytes: count,
    sha256: text(64),
    issue: text(1_000),
    body: text(8_000).optional(),
  },

  usage_tick: {
    counters: UsageCounters,
    final: z.boolean(),
    cliVersion: text(60),
    runnerBuild: text(80),
    taskDefinition: text(500),
  },
  model_usage: { model: text(100), tokens: TokenCounts, messageId: text(120), label: z.enum(['estimate', 'metered']) },
  budget_warning: { spentMicros: count, budgetMicros: count },
  budget_exceeded: { spentMicros: count, budgetMicros: count },

  alert_raised: { code: text(80), message: text(1_000) },
  desired_changed: { desired: DesiredState, rev: count, by: UserId },
  runner_registered: { runnerId: RunnerId, runnerVersion: text(80) },
  runner_disconnected: { dial: count, why: text(200) },
  runner_reconnected: { dial: count, goneMs: ms },
  runner_draining: { why: text(200) },
  runner_lost: { why: text(500), leaseUntilMs: TimestampMs.nullable() },
} as const satisfies Record<string, Record<string, z.ZodType>>;

export type EventType = keyof typeof EVENT_BODIES;
export const EVENT_TYPES = Object.keys(EVENT_BODIES) as readonly EventType[];

const envelope = {
  v: z.literal(EVENT_VERSION),
  sessionId: SessionId,
  tenantId: TenantId,
  epoch: Epoch,
  /** 0 for events of the control plane. */
  rseq: count,
  ts: TimestampMs,
  /** Where in the terminal of this epoch it happened. */
  offset: OffsetBytes,
};

type BodyOf<T extends EventType> = z.ZodObject<(typeof EVENT_BODIES)[T]>;
type Envelope = z.infer<z.ZodObject<typeof envelope>>;

/** What a use-case or the runner hands to the log: type and body, before numbers are given. */
export type EventDraft = { [T in EventType]: { type: T } & z.infer<BodyOf<T>> }[EventType];
/** An event as the runner journals and sends it: no `seq` yet. */
export type RunnerEvent = { [T in EventType]: Envelope & { type: T } & z.infer<BodyOf<T>> }[EventType];
/** An event as readers see it. */
export type SessionEvent = RunnerEvent & { seq: number };
export type EventOf<T extends EventType> = Extract<SessionEvent, { type: T }>;

const members = EVENT_TYPES.map((type) =>
  z.strictObject({ ...envelope, type: z.literal(type), ...EVENT_BODIES[type] }),
);
const stored = EVENT_TYPES.map((type) =>
  z.strictObject({ ...envelope, seq: count, type: z.literal(type), ...EVENT_BODIES[type] }),
);
const unionOf = (options: z.ZodObject[]) =>
  z.discriminatedUnion('type', options as unknown as [z.ZodObject, ...z.ZodObject[]]);

/** The cast gives the mapped type above to a union that TypeScript cannot infer from a computed list. */
export const RunnerEventSchema = unionOf(members) as unknown as z.ZodType<RunnerEvent>;
export const SessionEventSchema = unionOf(stored) as unknown as z.ZodType<SessionEvent>;
/** Enough of an event to number it and find its type, also when its body does not fit. */
export const EventEnvelope = z.looseObject({ ...envelope, type: z.string().max(80) });
export type EventEnvelope = z.infer<typeof EventEnvelope>;

/** Events that write a row of their own in the ingest transaction (BATCH_MAX_ROW_EVENTS). */
export const ROW_EVENTS: ReadonlySet<EventType> = new Set([
  'usage_tick',
  'model_usage',
  'approval_requested',
  'approval_resolved',
  'approval_expired',
  'transcript_chunk_stored',
]);
/** Events that leave at once instead of lingering. */
export const URGENT_EVENTS: ReadonlySet<EventType> = new Set([
  'session_state_changed',
  'session_assigned',
  'session_ended',
  'session_parked',
  'epoch_drained',
  'workspace_checkpointed',
  'approval_requested',
  'approval_resolved',
  'gate_lost',
  'session_frozen',
]);
/** Those that leave at once while somebody watches, and otherwise wait for the next tick: they come after every turn. */
export const URGENT_WATCHED_EVENTS: ReadonlySet<EventType> = new Set(['diff_summary']);
/** Nobody who watches waits for these: they ride on the next batch, at the latest on the next tick. */
export const QUIET_EVENTS: ReadonlySet<EventType> = new Set(['usage_tick', 'transcript_chunk_stored']);
