/** What every hello is answered with, whoever says it. */
import type { ControlToRunnerFrame, FrameOf, RunnerFrame, WatcherList } from '../../shared/frames.ts';
import type { SessionRecord, SessionRef, SessionStore } from '../sessions/session-store.ts';
import { type WatcherStore, watcherListOf } from '../streams/watchers.ts';
import type { AssignPorts } from './post-assign.ts';
import type { RunnerStore } from './runner-store.ts';

export interface HelloPorts extends AssignPorts {
  readonly sessions: SessionStore;
  readonly watchers: WatcherStore;
  readonly runnerStore: RunnerStore;
}

export type HelloFrame = FrameOf<RunnerFrame, 'hello'>;
export type Welcome = FrameOf<ControlToRunnerFrame, 'welcome'>;
export type WelcomedSession = Welcome['sessions'][number];

export const isCurrent = (record: SessionRecord | null, epoch: number): record is SessionRecord =>
  record !== null && record.head.epoch === epoch && record.head.open;

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
