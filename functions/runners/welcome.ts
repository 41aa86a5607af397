/** What every hello is answered with, whoever says it. */
import type { ControlToRunnerFrame, FrameOf, RunnerFrame, WatcherList } from '../../shared/frames.ts';
import type { StateReason } from '../../shared/session.ts';
import { closeEpoch } from '../sessions/close-epoch.ts';
import type { SessionRecord, SessionRef, SessionStore } from '../sessions/session-store.ts';
import { type WatcherStore, watcherListOf } from '../streams/watchers.ts';
import type { AssignPorts } from './post-assign.ts';
import type { RunnerStore } from './runner-store.ts';

export interface HelloPorts extends AssignPorts {
  readonly sessions: SessionStore;
  readonly watchers: WatcherStore;
  readonly runnerStore: RunnerStore;
}

const JOURNAL_LOST: StateReason = {
  code: 'journal_lost',
  message: 'The runner lost its record of what it had still to tell: what was not stored yet is gone.',
};

export type HelloFrame = FrameOf<RunnerFrame, 'hello'>;
export type Welcome = FrameOf<ControlToRunnerFrame, 'welcome'>;
export type WelcomedSession = Welcome['sessions'][number];

export const isCurrent = (record: SessionRecord | null, epoch: number): record is SessionRecord =>
  record !== null && record.head.epoch === epoch && record.head.open;

/**
 * The record at a hello. An epoch whose runner says that it cannot go on from what is stored is closed first: the session goes on in the
 * next one.
 * @param epoch the one that this runner was given
 */
export const recordAtHello = async (
  ports: Pick<HelloPorts, 'db' | 'sessions' | 'clock'>,
  ref: SessionRef,
  epoch: number,
  says: HelloFrame['sessions'],
): Promise<SessionRecord | null> => {
  const record = await ports.sessions.record(ref);
  const has = says.find((one) => one.sessionId === ref.sessionId && one.epoch === epoch);
  if (has?.journalLost !== true || !isCurrent(record, epoch)) return record;
  await closeEpoch(ports, ref, { epoch, asRead: null, cause: 'runner_lost', reason: JOURNAL_LOST });
  return ports.sessions.record(ref);
};

/** What a welcome says of one session; of one that is over, that it is. */
export const welcomed = async (
  ports: Pick<HelloPorts, 'watchers'>,
  ref: SessionRef,
  epoch: number,
  record: SessionRecord,
): Promise<WelcomedSession> => {
  const { head } = record;
  return {
    sessionId: ref.sessionId,
    epoch,
    ackedRseq: head.epoch === epoch ? head.ackedRseq : 0,
    open: isCurrent(record, epoch),
    desired: { desired: head.desired, rev: head.desiredRev },
    decisions: [],
    watchers: watcherListOf(await ports.watchers.read(ref)),
    grants: [],
  };
};

/** Older than any list: who is on it comes in a frame of its own, or is not the runner's business. */
export const noWatchers = (): WatcherList => ({ rev: 0, viewers: [], controllerId: null, controlTerm: 0 });

/** Of a session that the runner still has and that is not its own any more. */
export const overFor = (
  { sessionId, epoch }: HelloFrame['sessions'][number],
  stands: Partial<Pick<WelcomedSession, 'ackedRseq' | 'desired'>> = {},
): WelcomedSession => ({
  sessionId,
  epoch,
  ackedRseq: stands.ackedRseq ?? 0,
  open: false,
  desired: stands.desired ?? { desired: 'stop', rev: 0 },
  decisions: [],
  watchers: noWatchers(),
  grants: [],
});
