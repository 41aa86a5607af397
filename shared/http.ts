/** Bodies of the HTTP API. Unknown fields are refused, so that a typing error never passes as a default. */
import { z } from 'zod';
import { DiffFile, SessionEventSchema } from './events.ts';
import { InputData } from './frames.ts';
import { AgentId, BuildId, Epoch, OffsetBytes, RunnerId, SessionId, TenantId, UserId } from './ids.ts';
import {
  PAGE_DEFAULT,
  PAGE_MAX,
  PROMPT_MAX_CHARS,
  RUNNER_SESSIONS_DEFAULT,
  RUNNER_SESSIONS_MAX,
  TERMINAL_DEFAULT,
  TRANSCRIPT_PAGE_DEFAULT,
  TRANSCRIPT_PAGE_MAX,
} from './limits.ts';
import { ProviderId, ProviderInfo } from './providers.ts';
import { Build, BuildSpec, CliVersion } from './releases.ts';
import { Scenario } from './scenario.ts';
import {
  HOSTED_POOL,
  ModelChoice,
  Pool,
  RepositorySpec,
  RunnerGroup,
  SessionConfig,
  SessionInputs,
  SessionState,
  SessionView,
  TaskSpec,
  TerminalSize,
} from './session.ts';

export const IDEMPOTENCY_HEADER = 'idempotency-key';
export const SESSION_COOKIE = 'village_session';

export const SignInBody = z.strictObject({ code: z.string().min(1).max(500) });
export const SignedIn = z.strictObject({ tenantId: TenantId, userId: UserId, expiresAt: z.iso.datetime() });

export const SignInLink = z.strictObject({ url: z.url() });

export const TicketBody = z.strictObject({});
/** Of a request that says everything with its path. */
export const EmptyBody = z.strictObject({});
export const Ticket = z.strictObject({ ticket: z.string(), expiresAt: z.iso.datetime() });

export const StartSessionBody = z
  .strictObject({
    provider: ProviderId,
    model: ModelChoice.default('default'),
    repository: RepositorySpec,
    prompt: z.string().min(1).max(PROMPT_MAX_CHARS).optional(),
    task: TaskSpec.optional(),
    /** Required with model `scripted`, refused without. */
    scenario: Scenario.optional(),
    /** The newest ready build that has the provider when absent. */
    buildId: BuildId.optional(),
    agentId: AgentId.optional(),
    terminal: TerminalSize.default(TERMINAL_DEFAULT),
    maxDurationMs: SessionConfig.shape.maxDurationMs.optional(),
    idleMs: SessionConfig.shape.idleMs.optional(),
    /** Default: true when there is a prompt. */
    endWhenDone: z.boolean().optional(),
    pool: Pool.default(HOSTED_POOL),
    parkAfterMs: SessionConfig.shape.parkAfterMs.optional(),
  })
  .refine((body) => (body.model === 'scripted') === (body.scenario !== undefined), {
    path: ['scenario'],
    message: 'a scenario goes with model "scripted", and only with it',
  })
  .refine((body) => body.model !== 'scripted' || body.provider !== 'shell', {
    path: ['model'],
    message: 'shell has no model: leave model out',
  });
export type StartSessionBody = z.infer<typeof StartSessionBody>;
export const SessionStarted = z.strictObject({ sessionId: SessionId, session: SessionView });

export const ListSessionsQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(PAGE_DEFAULT),
  cursor: z.string().max(2_000).optional(),
  state: SessionState.optional(),
});
export const SessionList = z.strictObject({ sessions: z.array(SessionView), cursor: z.string().nullable() });

export const ListEventsQuery = z.strictObject({
  fromSeq: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1_000).default(200),
});
export const EventPage = z.strictObject({
  events: z.array(SessionEventSchema),
  /** Ask from here for more; equals `headSeq + 1` at the end. */
  nextSeq: z.int().min(0),
  headSeq: z.int().min(0),
});

export const SessionDiff = z.strictObject({
  files: z.array(DiffFile),
  linesAdded: z.int().min(0),
  linesRemoved: z.int().min(0),
  patch: z.string(),
  truncated: z.boolean(),
  headCommit: z.string(),
  branch: z.string().nullable(),
});
export type SessionDiff = z.infer<typeof SessionDiff>;

export const TranscriptQuery = z.strictObject({
  /** `epoch:offset`; chunks that end after it are listed. */
  from: z
    .string()
    .regex(/^\d{1,6}:\d{1,15}$/, 'expected epoch:offset, such as 1:0')
    .default('1:0'),
  limit: z.coerce.number().int().min(1).max(TRANSCRIPT_PAGE_MAX).default(TRANSCRIPT_PAGE_DEFAULT),
  /** `asciicast`: one recording of all that is stored from there on, as a redirect to where it lies; `limit` does not count then. */
  format: z.enum(['chunks', 'asciicast']).default('chunks'),
});
/** Body of the redirect to a recording, which lies at `location` too. */
export const TranscriptRecording = z.strictObject({ url: z.string(), expiresAt: z.iso.datetime() });
export const Transcript = z.strictObject({
  chunks: z.array(
    z.strictObject({
      epoch: Epoch,
      number: z.int().min(0),
      firstOffset: OffsetBytes,
      endOffset: OffsetBytes,
      sizeBytes: z.int(),
      sha256: z.string(),
      /** Presigned GET; the body is a gzipped TranscriptChunk. */
      url: z.string(),
    }),
  ),
  /** Ask again from the end of the last chunk. */
  more: z.boolean(),
  head: SessionView.shape.head,
  live: z.boolean(),
});

/** Body of a stored chunk, gzipped JSON: keyframe, then what followed it. */
export const TranscriptChunk = z.strictObject({
  v: z.literal(1),
  sessionId: SessionId,
  epoch: Epoch,
  number: z.int().min(0),
  firstOffset: OffsetBytes,
  endOffset: OffsetBytes,
  /** Screen at `firstOffset`, as bytes for a fresh terminal. */
  keyframe: z.strictObject({ cols: z.int(), rows: z.int(), sizeRev: z.int(), data: z.string() }),
  /** `o`: output; `r`: resize. Milliseconds since 1970. */
  parts: z.array(
    z.discriminatedUnion('k', [
      z.strictObject({ k: z.literal('o'), ts: z.int(), offset: OffsetBytes, data: z.string() }),
      z.strictObject({
        k: z.literal('r'),
        ts: z.int(),
        offset: OffsetBytes,
        sizeRev: z.int(),
        cols: z.int(),
        rows: z.int(),
      }),
    ]),
  ),
});
export type TranscriptChunk = z.infer<typeof TranscriptChunk>;

export const InputBody = z.strictObject({
  data: InputData,
  /** Types it and presses Enter, in the way the CLI takes a prompt. */
  submit: z.boolean().default(false),
});
export const DesiredBody = z.strictObject({ reason: z.string().max(500).optional() });
export const Accepted = z.strictObject({ accepted: z.literal(true), session: SessionView });

export const ProviderList = z.strictObject({ providers: z.array(ProviderInfo) });
export const BuildList = z.strictObject({ builds: z.array(Build) });
export const RegisterBuildBody = z.strictObject({
  buildId: BuildId,
  spec: BuildSpec,
  taskDefinitionArn: z.string(),
  runnerVersion: z.string().max(80),
});
/** `connected` and `disconnected` are tasks of the platform; the others are customer-hosted runners. */
const RunnerState = z.enum([
  'connected',
  'disconnected',
  /** It has drained and is gone; started again it serves again. */
  'stopped',
  /** Its token was not used yet. */
  'registered',
  'serving',
  /** Takes no new session; what it holds goes on elsewhere. */
  'draining',
  /** Silent for three heartbeats. */
  'lost',
  'revoked',
]);
export type RunnerState = z.infer<typeof RunnerState>;

export const RunnerInfo = z.strictObject({
  runnerId: z.string(),
  kind: z.enum(['hosted', 'customer', 'warm']),
  state: RunnerState,
  /** Empty until it connected, as is `buildId`. */
  runnerVersion: z.string(),
  buildId: z.string(),
  /** Of a task of the platform: its one session. */
  sessionId: SessionId.nullable(),
  epoch: Epoch.nullable(),
  /** `null` until it connected. */
  connectedAt: z.iso.datetime().nullable(),
  group: RunnerGroup.nullable().default(null),
  name: z.string().nullable().default(null),
  /** Sessions it takes at once. */
  capacity: z.int().min(1).default(1),
  /** What it holds now. */
  sessions: z.array(z.strictObject({ sessionId: SessionId, epoch: Epoch })).default([]),
  protocol: z.int().nullable().default(null),
  clis: z.partialRecord(ProviderId, CliVersion).default({}),
  isolation: z.enum(['own_uid', 'shared_uid']).nullable().default(null),
  lastSeenAt: z.iso.datetime().nullable().default(null),
});
export type RunnerInfo = z.infer<typeof RunnerInfo>;
export const ListRunnersQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(PAGE_MAX),
  cursor: z.string().max(2_000).optional(),
});
/** `cursor` asks for the next page; a page may be short, or empty, though more follow. */
export const RunnerList = z.strictObject({
  runners: z.array(RunnerInfo),
  cursor: z.string().nullable().default(null),
});
export type RunnerList = z.infer<typeof RunnerList>;

export const RegisterRunnerBody = z.strictObject({
  group: RunnerGroup,
  /** For people; the id is what counts. */
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/, 'must be letters, digits, . _ and -, at most 40')
    .optional(),
  maxSessions: z.int().min(1).max(RUNNER_SESSIONS_MAX).default(RUNNER_SESSIONS_DEFAULT),
});
export type RegisterRunnerBody = z.infer<typeof RegisterRunnerBody>;
export const RunnerRegistered = z.strictObject({
  runnerId: RunnerId,
  group: RunnerGroup,
  /** Shown with this answer (and its repeats under one idempotency key) only; works once. */
  token: z.string(),
  expiresAt: z.iso.datetime(),
  /** One line for a shell elsewhere, and the same for a container. */
  command: z.string(),
  containerCommand: z.string(),
});
export type RunnerRegistered = z.infer<typeof RunnerRegistered>;
export const RunnerAnswer = z.strictObject({ runner: RunnerInfo });
export const Health = z.strictObject({ status: z.literal('ok'), version: z.string(), time: z.iso.datetime() });
export const Me = z.strictObject({
  tenantId: TenantId,
  userId: UserId,
  /** Whether sessions can use the real model API. */
  modelKey: z.boolean(),
});

/** `POST /api/runner/credentials` with the capability as bearer: kept in memory only, refreshed before expiry. */
export const RunnerCredentials = z.strictObject({
  expiresAt: z.iso.datetime(),
  model: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('none') }),
    z.strictObject({ kind: z.literal('scripted'), scenario: Scenario }),
    z.strictObject({ kind: z.literal('anthropic'), apiKey: z.string(), baseUrl: z.string() }),
  ]),
  /** As written in an address: percent-encoded. Without a user the token is an `x-access-token`; a user alone may be a token too. */
  repository: z.strictObject({ token: z.string().nullable(), username: z.string().nullable().default(null) }),
  inputs: SessionInputs,
});
export type RunnerCredentials = z.infer<typeof RunnerCredentials>;

/** `<data-dir>/endpoint.json` of a local village. */
export const EndpointFile = z.looseObject({ url: z.url(), token: z.string() });
