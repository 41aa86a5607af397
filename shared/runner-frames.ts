/** Frames between a runner and the control plane. */
import { z } from 'zod';
import { EventEnvelope } from './events.ts';
import {
  capability,
  controlTerm,
  digest,
  error,
  fromRunner,
  Head,
  InputAck,
  InputReset,
  inputSeq,
  inSession,
  Ping,
  Pong,
  rev,
  size,
  TerminalOutput,
  TerminalSnapshot,
} from './frame-parts.ts';
import { BuildId, OffsetBytes, Rev, RunnerId, TimestampMs, ViewerId } from './ids.ts';
import { BATCH_MAX_EVENTS, RUNNER_SESSIONS_MAX, UPLOAD_GRANTS_AHEAD, VIEWERS_PER_SESSION_MAX } from './limits.ts';
import { ApprovalDecision } from './policy.ts';
import { ProviderId } from './providers.ts';
import { CliVersion } from './releases.ts';
import { DesiredState, SessionConfig, StreamAddress } from './session.ts';

/** An object the runner wants to store; length and checksum are signed into the grant, so they must be known first. */
export const UploadWish = z.strictObject({
  kind: z.enum(['transcript', 'diff', 'checkpoint']),
  number: z.int().min(0),
  sizeBytes: z.int().min(1),
  /** SHA-256 of the body, base64 as S3 wants it. */
  sha256Base64: z.string().length(44),
});
export type UploadWish = z.infer<typeof UploadWish>;

/** A presigned PUT: send exactly these headers. */
export const UploadGrant = z.strictObject({
  kind: UploadWish.shape.kind,
  number: UploadWish.shape.number,
  key: z.string(),
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  expiresAtMs: TimestampMs,
});
export type UploadGrant = z.infer<typeof UploadGrant>;

/** A wish that is not granted now or ever: asked again, it is refused again. */
export const UploadRefusal = z.strictObject({
  kind: UploadWish.shape.kind,
  number: UploadWish.shape.number,
  reason: z.enum(['too_large', 'number_too_high']),
  /** The largest that is granted: bytes, or a number. */
  limit: z.int().min(0),
});
export type UploadRefusal = z.infer<typeof UploadRefusal>;

export const WatcherList = z.strictObject({
  rev: Rev,
  viewers: z
    .array(z.strictObject({ viewerId: ViewerId, mode: z.enum(['control', 'watch']) }))
    .max(VIEWERS_PER_SESSION_MAX),
  controllerId: ViewerId.nullable(),
  controlTerm,
});
export type WatcherList = z.infer<typeof WatcherList>;

const Hello = z.strictObject({
  type: z.literal('hello'),
  runnerId: RunnerId,
  runnerVersion: z.string().max(80),
  buildId: BuildId,
  protocol: z.int(),
  dial: z.int().min(1),
  /** CLI versions as the runner detected them. */
  clis: z.partialRecord(ProviderId, CliVersion),
  isolation: z.enum(['own_uid', 'shared_uid']),
  sessions: z
    .array(
      z.strictObject({
        ...inSession,
        nextRseq: z.int().min(1),
        head: OffsetBytes,
        desiredRev: Rev,
        viewersRev: Rev,
        /**
         * Its journal does not go on from what is stored (`nextRseq <= ackedRseq`, as it saw itself: a hello may be older than batches that
         * overtook it), and what it ran is held: the epoch is to be closed.
         */
        journalLost: z.boolean().optional(),
      }),
    )
    .max(64),
  /** Sessions this runner takes at once. */
  capacity: z.int().min(1).max(RUNNER_SESSIONS_MAX).default(1),
  /** It takes no new sessions. */
  draining: z.boolean().default(false),
  /**
   * The first dial of this process, said where `sessions` names all that the runner has: what it was given on an earlier dial and does not
   * name it has lost.
   */
  firstDial: z.int().min(1).optional(),
});

const RunnerEvents = z.strictObject({
  type: z.literal('runner_events'),
  ...fromRunner,
  firstRseq: z.int().min(1),
  /** Parsed one by one at ingest: what does not fit is stored as `event_rejected`. Empty: a heartbeat or a wish. */
  events: z.array(EventEnvelope).max(BATCH_MAX_EVENTS),
  digest,
  uploads: z.array(UploadWish).max(UPLOAD_GRANTS_AHEAD).default([]),
});

export const RunnerFrame = z.discriminatedUnion('type', [
  Hello,
  RunnerEvents,
  /** `viewersRev` is the watcher list the runner sent to; `viewerId` limits the frame to one viewer that catches up. */
  TerminalOutput.extend({ capability, viewersRev: Rev, viewerId: ViewerId.optional() }),
  TerminalSnapshot.extend({ capability }),
  InputAck.extend({ capability }),
  InputReset.extend({ capability }),
  /** `viewersRev` as in terminal_output: who has just attached needs the head most. */
  Head.extend({ capability, viewersRev: Rev }),
  /** Heartbeat of a runner that waits for sessions or holds several; answered by `pong`. */
  z.strictObject({
    type: z.literal('runner_status'),
    ts: TimestampMs,
    live: z.int().min(0).max(RUNNER_SESSIONS_MAX),
    capacity: z.int().min(1).max(RUNNER_SESSIONS_MAX),
    draining: z.boolean(),
  }),
  /** An assignment that is not taken: nothing of it ran, and this runner never takes this epoch of it. It is placed elsewhere, anew. */
  z.strictObject({
    type: z.literal('assign_refused'),
    ...fromRunner,
    reason: z.enum(['full', 'draining']),
    message: z.string().max(500),
  }),
  Ping,
  z.strictObject({ type: z.literal('pong'), ts: TimestampMs }),
]);
export type RunnerFrame = z.infer<typeof RunnerFrame>;

const Welcome = z.strictObject({
  type: z.literal('welcome'),
  dial: z.int().min(1),
  sessions: z.array(
    z.strictObject({
      ...inSession,
      ackedRseq: z.int().min(0),
      open: z.boolean(),
      desired: z.strictObject({ desired: DesiredState, rev: Rev }),
      decisions: z.array(ApprovalDecision),
      watchers: WatcherList,
      grants: z.array(UploadGrant),
    }),
  ),
  /** What ops ask of the runner itself: to go on, or to give its sessions back and end. */
  desired: z.enum(['serve', 'drain']).default('serve'),
});

export const Assign = z.strictObject({
  type: z.literal('assign'),
  ...inSession,
  config: SessionConfig,
  capability,
  taskDefinition: z.string(),
  /** What the session goes on from; `url` is a presigned GET. */
  checkpoint: z
    .strictObject({ key: z.string(), url: z.string(), sizeBytes: z.int().min(1), sha256: z.string().length(64) })
    .nullable(),
  /** How long earlier epochs have run: `maxDurationMs` counts over all of them. */
  ranMs: z.int().min(0).default(0),
});
export type Assign = z.infer<typeof Assign>;

const Ack = z.strictObject({
  type: z.literal('ack'),
  ...inSession,
  firstRseq: z.int().min(1),
  ackedRseq: z.int().min(0),
  headSeq: z.int().min(0),
  grants: z.array(UploadGrant),
  refused: z.array(UploadRefusal).max(UPLOAD_GRANTS_AHEAD).optional(),
  /** Where people ever asked for something: the frame that told of it may be lost, and the line be good for hours. */
  desired: z.strictObject({ desired: DesiredState, rev: Rev }).optional(),
});
const Nack = z.strictObject({
  type: z.literal('nack'),
  ...inSession,
  firstRseq: z.int().min(1),
  reason: z.enum(['gap', 'stale_epoch', 'closed', 'other_digest', 'invalid']),
  expected: z.int().min(1),
});

/** Frames of the control plane to a runner. */
export const ControlToRunnerFrame = z.discriminatedUnion('type', [
  Welcome,
  Assign,
  Ack,
  Nack,
  z.strictObject({
    type: z.literal('input'),
    ...inSession,
    /** `api` for `POST …/input`: each stands for itself, and is posted again until it is answered. */
    viewerId: ViewerId,
    source: z.enum(['viewer', 'api']),
    controlTerm,
    inputSeq,
    data: z.string(),
    /** Typed and sent with Enter in the way the CLI takes a prompt; raw keys otherwise. */
    submit: z.boolean().default(false),
  }),
  z.strictObject({
    type: z.literal('resize'),
    ...rev,
    viewerId: ViewerId,
    controlTerm,
    cols: size.cols,
    rows: size.rows,
  }),
  z.strictObject({ type: z.literal('viewers'), ...inSession, ...WatcherList.shape }),
  z.strictObject({ type: z.literal('control'), ...rev, controllerId: ViewerId.nullable(), controlTerm }),
  z.strictObject({
    type: z.literal('attach'),
    ...rev,
    viewerId: ViewerId,
    mode: z.enum(['control', 'watch']),
    controlTerm,
    from: StreamAddress.optional(),
    cols: size.cols,
    rows: size.rows,
  }),
  z.strictObject({ type: z.literal('approval_decision'), ...rev, decision: ApprovalDecision }),
  z.strictObject({ type: z.literal('desired'), ...rev, desired: DesiredState }),
  /** To the runner itself, not to a session. */
  z.strictObject({ type: z.literal('runner_desired'), desired: z.enum(['serve', 'drain']) }),
  Ping,
  Pong,
  error,
]);
export type ControlToRunnerFrame = z.infer<typeof ControlToRunnerFrame>;
