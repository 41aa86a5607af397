/** Frames between a viewer and the control plane. */
import { z } from 'zod';
import { SessionEventSchema } from './events.ts';
import {
  controlTerm,
  error,
  Head,
  InputAck,
  InputData,
  InputReset,
  inputSeq,
  Pong,
  size,
  TerminalOutput,
  TerminalSnapshot,
} from './frame-parts.ts';
import { AgentId, Epoch, OffsetBytes, Rev, SessionId, TimestampMs, ViewerId } from './ids.ts';
import { ApprovalDecision, ApprovalRequest } from './policy.ts';
import { ControlRequest, Device, Presence, SessionState, SessionView, StateReason, StreamAddress } from './session.ts';

/** Given with `attached`, sent back with input and resize: signed (tenant, session, viewer, user), verified without a read. */
const view = z.string().min(1).max(1_000);
const ofViewer = { sessionId: SessionId, viewerId: ViewerId };

export const ViewerFrame = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('attach'),
    ...ofViewer,
    mode: z.enum(['control', 'watch']),
    /** Takes control from whoever has it; without it a second controller becomes a watcher. */
    takeOver: z.boolean().default(false),
    /** What it runs on, in words for the others: "Firefox on Linux". */
    device: Device.optional(),
    from: StreamAddress.optional(),
    fromSeq: z.int().min(0).optional(),
    cols: size.cols,
    rows: size.rows,
  }),
  z.strictObject({ type: z.literal('detach'), ...ofViewer }),
  /** Asks whoever leads for the keyboard (or takes the question back); answered with `presence`, sent again until it is. */
  z.strictObject({ type: z.literal('control_request'), ...ofViewer, view, wanted: z.boolean() }),
  /** What the leader says to it: the term names the lead that may be given away, so that a late answer gives nobody's. */
  z.strictObject({
    type: z.literal('control_answer'),
    ...ofViewer,
    view,
    controlTerm,
    toViewerId: ViewerId,
    allow: z.boolean(),
  }),
  z.strictObject({
    type: z.literal('input'),
    ...ofViewer,
    view,
    controlTerm,
    /** The epoch whose screen it was typed at: a later one must not get it. */
    epoch: Epoch.optional(),
    inputSeq,
    data: InputData,
  }),
  z.strictObject({
    type: z.literal('resize'),
    ...ofViewer,
    view,
    controlTerm,
    rev: Rev,
    cols: size.cols,
    rows: size.rows,
  }),
  z.strictObject({
    type: z.literal('approval_decision'),
    sessionId: SessionId,
    decision: ApprovalDecision.omit({ decidedBy: true, decidedAtMs: true }),
  }),
  z.strictObject({
    type: z.literal('ping'),
    ts: TimestampMs,
    attached: z.array(z.strictObject(ofViewer)).max(16).default([]),
  }),
]);
export type ViewerFrame = z.infer<typeof ViewerFrame>;

/** Frames overtake each other: a list of a lower `rev` than one that was seen is old. */
const presence = {
  rev: Rev,
  viewers: z.array(Presence),
  controllerId: ViewerId.nullable(),
  controlTerm,
  request: ControlRequest.nullable().default(null),
};

/** Frames of the control plane to a viewer. */
export const ControlToViewerFrame = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('attached'),
    sessionId: SessionId,
    viewerId: ViewerId,
    session: SessionView,
    live: z.boolean(),
    head: z.strictObject({ epoch: z.int().min(0), offset: OffsetBytes, seq: z.int().min(0) }),
    mode: z.enum(['control', 'watch']),
    view,
    ...presence,
  }),
  TerminalOutput,
  TerminalSnapshot,
  Head,
  z.strictObject({
    type: z.literal('session_state_changed'),
    sessionId: SessionId,
    agentId: AgentId,
    epoch: Epoch,
    fromState: SessionState,
    toState: SessionState,
    reason: StateReason.nullable(),
    ts: TimestampMs,
    seq: z.int().min(0),
  }),
  z.strictObject({
    type: z.literal('approval_requested'),
    sessionId: SessionId,
    agentId: AgentId,
    ...ApprovalRequest.shape,
    ts: TimestampMs,
    seq: z.int(),
  }),
  z.strictObject({
    type: z.literal('approval_resolved'),
    sessionId: SessionId,
    decision: ApprovalDecision,
    ts: TimestampMs,
    seq: z.int(),
  }),
  z.strictObject({ type: z.literal('session_event'), sessionId: SessionId, event: SessionEventSchema }),
  InputAck,
  InputReset,
  z.strictObject({ type: z.literal('presence'), sessionId: SessionId, ...presence }),
  error,
  Pong,
]);
export type ControlToViewerFrame = z.infer<typeof ControlToViewerFrame>;
