/** What a restarted runner process must know of its session, beside the journal and the spool. */
import { z } from 'zod';
import { Epoch, SessionId } from '../../../shared/ids.ts';
import { DesiredState, SessionConfig, SessionState } from '../../../shared/session.ts';
import { UsageCounters } from '../../../shared/usage.ts';
import { type Disk, realDisk } from '../transport/disk.ts';

export const SavedSession = z.strictObject({
  v: z.literal(1),
  sessionId: SessionId,
  epoch: Epoch,
  config: SessionConfig,
  capability: z.string(),
  taskDefinition: z.string(),
  state: SessionState,
  desired: z.strictObject({ desired: DesiredState, rev: z.int().min(0) }),
  counters: UsageCounters,
  startedAtMs: z.int(),
  cliVersion: z.string(),
  baseCommit: z.string(),
  transcript: z.strictObject({ nextNumber: z.int().min(0), storedOffset: z.int().min(0) }),
  /** The end was recorded: only its delivery may be missing. */
  isOver: z.boolean(),
});
export type SavedSession = z.infer<typeof SavedSession>;

/** `null` when no session was saved. Throws on a damaged file: then pty-host must end what runs. */
export const loadSession = (path: string, disk: Disk = realDisk): SavedSession | null => {
  const text = disk.read(path);
  return text === undefined ? null : SavedSession.parse(JSON.parse(text));
};

/** Replaced as a whole; survives a crash of the process, which is what it is for. */
export const saveSession = (path: string, session: SavedSession, disk: Disk = realDisk): void =>
  disk.replace(path, JSON.stringify(session), false);
