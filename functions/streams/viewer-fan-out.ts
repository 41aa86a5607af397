/**
 * Sends frames to a session's viewers. The list is remembered by (session, viewersRev): the runner learns of a viewer before it sends a
 * frame meant for it and names the revision it knows, so a remembered list of that revision or above is never short of one.
 */
import type { Clock } from '../../shared/clock.ts';
import type { ControlToViewerFrame } from '../../shared/frames.ts';
import type { ViewerSender } from '../sessions/ports.ts';
import { type SessionRef, sessionPk } from '../sessions/session-store.ts';
import type { RunnerLine } from './runner-line.ts';
import { presenceOf, type WatcherStore, type Watchers, watcherListOf } from './watchers.ts';

const MEMORY_MS = 5_000;
const MEMORY_MAX = 10_000;

export interface FanOutPorts {
  readonly watchers: WatcherStore;
  readonly viewers: ViewerSender;
  readonly runners: RunnerLine;
  readonly clock: Clock;
  /** The session's current epoch, for frames that name none. */
  readonly epochOf: (ref: SessionRef) => Promise<number | null>;
}

export interface FanOut {
  /** @param viewersRev the lowest revision that will do; 0 takes what is remembered */
  toAll(ref: SessionRef, frame: ControlToViewerFrame, viewersRev: number): Promise<void>;
  toOne(ref: SessionRef, viewerId: string, frame: ControlToViewerFrame, viewersRev: number): Promise<void>;
  /** Tells runner and viewers who watches now. */
  announce(ref: SessionRef, epoch: number, watchers: Watchers): Promise<void>;
}

export const viewerFanOut = ({ watchers, viewers, runners, clock, epochOf }: FanOutPorts): FanOut => {
  const memory = new Map<string, { list: Watchers; untilMs: number }>();

  const remember = (ref: SessionRef, list: Watchers): Watchers => {
    if (memory.size >= MEMORY_MAX) memory.delete(memory.keys().next().value ?? '');
    memory.set(sessionPk(ref), { list, untilMs: clock.monotonicMs() + MEMORY_MS });
    return list;
  };
  const listOf = async (ref: SessionRef, viewersRev: number): Promise<Watchers> => {
    const known = memory.get(sessionPk(ref));
    if (known !== undefined && known.untilMs > clock.monotonicMs() && known.list.control.rev >= viewersRev)
      return known.list;
    return remember(ref, await watchers.read(ref));
  };

  const announce = async (ref: SessionRef, epoch: number, list: Watchers): Promise<void> => {
    remember(ref, list);
    await Promise.all([
      runners.post(ref, { type: 'viewers', sessionId: ref.sessionId, epoch, ...watcherListOf(list) }),
      ...list.viewers.map((viewer) =>
        viewers.post(viewer.connectionId, { type: 'presence', sessionId: ref.sessionId, ...presenceOf(list) }),
      ),
    ]);
  };

  /** @returns those whose connection is gone though they are still here: they came back on another one */
  const sendOnce = async (
    ref: SessionRef,
    frame: ControlToViewerFrame,
    targets: Watchers['viewers'],
  ): Promise<Watchers['viewers']> => {
    const results = await Promise.allSettled(targets.map((viewer) => viewers.post(viewer.connectionId, frame)));
    const moved: Watchers['viewers'][number][] = [];
    for (const [index, viewer] of targets.entries()) {
      const posted = results[index];
      const result = posted?.status === 'fulfilled' ? posted.value : 'failed';
      /** `slow` drops this frame for that viewer alone: it sees the gap and attaches again from its address. */
      if (result !== 'gone') continue;
      const left = await watchers.detach(ref, viewer.viewerId, viewer.connectionId);
      const epoch = left === null ? null : await epochOf(ref);
      if (left === null) moved.push(viewer);
      else if (epoch !== null) await announce(ref, epoch, left);
    }
    /** Everybody else has the frame by now; what failed is for the log. */
    const failed = results.find((posted) => posted.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return moved;
  };

  const send = async (ref: SessionRef, frame: ControlToViewerFrame, targets: Watchers['viewers']): Promise<void> => {
    const moved = await sendOnce(ref, frame, targets);
    if (moved.length === 0) return;
    const fresh = remember(ref, await watchers.read(ref)).viewers;
    const cameBack = fresh.filter(({ viewerId, connectionId }) =>
      moved.some((old) => old.viewerId === viewerId && old.connectionId !== connectionId),
    );
    await sendOnce(ref, frame, cameBack);
  };

  return {
    toAll: async (ref, frame, viewersRev) => send(ref, frame, (await listOf(ref, viewersRev)).viewers),
    toOne: async (ref, viewerId, frame, viewersRev) => {
      const find = (list: Watchers) => list.viewers.filter((viewer) => viewer.viewerId === viewerId);
      const known = find(await listOf(ref, viewersRev));
      await send(ref, frame, known.length > 0 ? known : find(remember(ref, await watchers.read(ref))));
    },
    announce,
  };
};
