/** What frames of both families are made of. */
import { z } from 'zod';
import { AgentId, Epoch, OffsetBytes, Rev, SessionId, TimestampMs, ViewerId } from './ids.ts';
import { INPUT_MAX_BYTES, INPUT_SERIALISED_MAX_BYTES, SNAPSHOT_MAX_PARTS } from './limits.ts';
import { TerminalSize } from './session.ts';

export const digest = z.string().regex(/^[0-9a-f]{64}$/);
/** Signed (tenant, session, epoch), verified without a read. */
export const capability = z.string().min(1).max(1_000);
export const inSession = { sessionId: SessionId, epoch: Epoch };
export const fromRunner = { capability, ...inSession };
export const size = { sizeRev: Rev, cols: TerminalSize.shape.cols, rows: TerminalSize.shape.rows };
export const inputSeq = z.int().min(1);
/** What is typed in one frame. The frame is what is bounded, and a control character takes six bytes of it as JSON. */
export const InputData = z
  .string()
  .min(1)
  .max(INPUT_MAX_BYTES)
  .refine(
    (data) => new TextEncoder().encode(JSON.stringify(data)).length - 2 <= INPUT_SERIALISED_MAX_BYTES,
    `must be at most ${INPUT_SERIALISED_MAX_BYTES} bytes as JSON`,
  );
export const controlTerm = z.int().min(0);

export const TerminalOutput = z.strictObject({
  type: z.literal('terminal_output'),
  ...inSession,
  agentId: AgentId,
  stream: z.literal('stdout'),
  offset: OffsetBytes,
  ...size,
  /** Counts frames only. */
  seq: z.int().min(0),
  ts: TimestampMs,
  data: z.string(),
});

export const TerminalSnapshot = z.strictObject({
  type: z.literal('terminal_snapshot'),
  ...inSession,
  viewerId: ViewerId,
  snapshotId: z.string().max(60),
  part: z.int().min(0),
  parts: z.int().min(1).max(SNAPSHOT_MAX_PARTS),
  offset: OffsetBytes,
  ...size,
  data: z.string(),
});

/** Stands for the callers of `POST …/input`; no viewer may have this id. */
export const API_VIEWER_ID = 'api-input';

export const InputAck = z.strictObject({
  type: z.literal('input_ack'),
  ...inSession,
  viewerId: ViewerId,
  controlTerm,
  inputSeq,
});
/** Input was discarded: the next frame the runner takes is `expected`. To an API call: that one was not taken. */
export const InputReset = z.strictObject({
  type: z.literal('input_reset'),
  ...inSession,
  viewerId: ViewerId,
  controlTerm,
  expected: inputSeq,
  reason: z.enum(['hole', 'overflow', 'not_controller', 'not_running']),
});
export const Head = z.strictObject({ type: z.literal('head'), ...inSession, offset: OffsetBytes, seq: z.int().min(0) });
export const Ping = z.strictObject({ type: z.literal('ping'), ts: TimestampMs });
export const Pong = z.strictObject({
  type: z.literal('pong'),
  ts: TimestampMs,
  heads: z.array(Head).max(64).default([]),
});

export const rev = { ...inSession, rev: Rev };
export const error = z.strictObject({
  type: z.literal('error'),
  code: z.string(),
  message: z.string(),
  requestId: z.string(),
  sessionId: SessionId.optional(),
});
