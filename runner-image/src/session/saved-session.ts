/** What a restarted runner process must know of its session, beside the journal, the spool and what pty-host remembers. */
import { z } from 'zod';
import type { EventDraft } from '../../../shared/events.ts';
import { Assign } from '../../../shared/frames.ts';
import { Epoch, SessionId } from '../../../shared/ids.ts';
import { DesiredState, SessionConfig, SessionState, StateReason } from '../../../shared/session.ts';
import { UsageCounters } from '../../../shared/usage.ts';
import { type Disk, realDisk } from '../transport/disk.ts';
import { SavedApiInput } from './api-input.ts';
import { FREEZE_REASONS } from './freezer.ts';
import { SavedLane } from './input-order.ts';

const count = z.int().min(0);

/** Ours, and parsed whole when it is recorded. */
const isDraft = (value: unknown): boolean => z.looseObject({ type: z.string() }).safeParse(value).success;

/**
 * Events that belong to this state and were about to be recorded as `rseq` and the numbers after it: what the journal lacks
 * of them is recorded after a crash, so that state and events never part.
 */
const DueEvents = z.strictObject({
  rseq: z.int().min(1),
  events: z.array(z.strictObject({ ts: count, offset: count, draft: z.custom<EventDraft>(isDraft) })),
});
export type DueEvents = z.infer<typeof DueEvents>;

/** The CLI and what it was given; secrets of this session alone, worth nothing elsewhere. */
const SavedAgent = z.strictObject({
  cliInstanceId: z.string(),
  /** Real path of the folder the agent works in. */
  workspace: z.string(),
  dummyKey: z.string(),
  /** Of the model broker; `null` without one. */
  modelPort: z.int().min(1).nullable(),
  scriptTurnsDone: count,
  /** As the adapter gave it; `null` before it did. */
  provider: z.record(z.string(), z.unknown()).nullable(),
});
export type SavedAgent = z.infer<typeof SavedAgent>;

export const SavedSession = z.strictObject({
  v: z.literal(2),
  sessionId: SessionId,
  epoch: Epoch,
  config: SessionConfig,
  capability: z.string(),
  taskDefinition: z.string(),
  checkpoint: Assign.shape.checkpoint.default(null),
  ranMs: count.default(0),
  state: SessionState,
  desired: z.strictObject({ desired: DesiredState, rev: count }),
  counters: UsageCounters,
  startedAtMs: z.int(),
  cliVersion: z.string(),
  baseCommit: z.string(),
  transcript: z.strictObject({ nextNumber: count, storedOffset: count }),
  /** The end was recorded: only its delivery may be missing. */
  isOver: z.boolean(),
  due: DueEvents,
  headOffset: count,
  /** When the lease was proven last, on the clock that goes on while the machine sleeps. */
  leaseProvenAtMs: z.number(),
  /** Why its processes were held. */
  held: z.array(z.enum(FREEZE_REASONS)),
  /** The session was ending, and how. */
  ending: z.strictObject({ to: z.enum(['completed', 'failed']), reason: StateReason.nullable() }).nullable(),
  /** The epoch was ending, and its session goes on. */
  leaving: z
    .discriminatedUnion('to', [
      z.strictObject({ to: z.literal('drained'), why: z.string() }),
      z.strictObject({ to: z.literal('parked'), checkpointKey: z.string() }),
    ])
    .nullable()
    .default(null),
  /** The newest checkpoint of the session. */
  checkpointKey: z.string().nullable().default(null),
  /** No diff or checkpoint has this number, or a higher one. */
  nextUpload: count.default(1),
  /** Prompts that the CLI may not have yet; the number of the next. */
  prompts: z.array(z.strictObject({ number: z.int().min(1), text: z.string() })),
  nextPrompt: z.int().min(1),
  /** The prompt of the start is on its way, or there is none. */
  isPromptDone: z.boolean(),
  lanes: z.array(SavedLane),
  apiInputs: SavedApiInput.default([]),
  /** The control term in which a person typed. */
  typedInTerm: count.nullable(),
  progress: z.strictObject({ prompts: count, turnsDone: count, isWorking: z.boolean() }),
  agent: SavedAgent.nullable(),
});
export type SavedSession = z.infer<typeof SavedSession>;

/** `null` when no session was saved. Throws on a damaged file: then pty-host must end what runs. */
export const loadSession = (path: string, disk: Disk = realDisk): SavedSession | null => {
  const text = disk.read(path);
  if (text === undefined) return null;
  return SavedSession.parse(JSON.parse(text));
};

/** Replaced as a whole; survives a crash of the process, which is what it is for. */
export const saveSession = (path: string, session: SavedSession, disk: Disk = realDisk): void =>
  disk.replace(path, JSON.stringify(session), false);
