/** What follows a commit, for people who watch: each committed event as a frame, from the table's stream and not from the ingest. */
import type { SessionEvent } from '../../shared/events.ts';
import type { ControlToViewerFrame } from '../../shared/frames.ts';
import type { Item } from '../database.ts';
import type { SessionRef, SessionStore } from '../sessions/session-store.ts';
import { eventsOf } from './segments.ts';
import type { FanOut } from './viewer-fan-out.ts';
import type { WatcherStore } from './watchers.ts';

export interface FanOutEventPorts {
  readonly sessions: SessionStore;
  readonly fanOut: FanOut;
  readonly watchers: Pick<WatcherStore, 'read' | 'isWatched'>;
  /** @param row its keys */
  readonly onError: (row: string, error: unknown) => void;
}

/** Frames of one event: the event itself, and for state changes and approvals the named frame that clients wait for. */
export const framesOf = (event: SessionEvent, agentId: string): ControlToViewerFrame[] => {
  const { sessionId, epoch, ts, seq } = event;
  const frames: ControlToViewerFrame[] = [{ type: 'session_event', sessionId, event }];
  if (event.type === 'session_state_changed') {
    const { fromState, toState, reason } = event;
    frames.push({ type: 'session_state_changed', sessionId, agentId, epoch, fromState, toState, reason, ts, seq });
  }
  if (event.type === 'approval_requested') {
    const { approvalId, category, summary, risk, callDigest, cliInstanceId, context } = event;
    frames.push({
      type: 'approval_requested',
      sessionId,
      agentId,
      approvalId,
      category,
      summary,
      risk,
      callDigest,
      cliInstanceId,
      context,
      ts,
      seq,
    });
  }
  if (event.type === 'approval_resolved')
    frames.push({ type: 'approval_resolved', sessionId, decision: event.decision, ts, seq });
  return frames;
};

/** A row that cannot be read today cannot be read at the next try either: it is reported, and those behind it are not held up. */
const readableEvents = ({ onError }: FanOutEventPorts, image: Item): SessionEvent[] => {
  try {
    return eventsOf(image);
  } catch (error) {
    onError(`${image.pk} ${image.sk}`, error);
    return [];
  }
};

/** @param images new images of the events table; annex and quarantine rows are nobody's live news */
export const fanOutEvents = async (ports: FanOutEventPorts, images: readonly Item[]): Promise<void> => {
  for (const image of images) {
    if (!String(image.sk).startsWith('SEG#')) continue;
    const events = readableEvents(ports, image);
    const first = events[0];
    if (first === undefined) continue;
    const ref: SessionRef = { tenantId: first.tenantId, sessionId: first.sessionId };
    if (!(await ports.watchers.isWatched(ref))) continue;
    const { viewers, control } = await ports.watchers.read(ref);
    if (viewers.length === 0) continue;
    const config = await ports.sessions.config(ref);
    if (config === null) continue;
    /** The revision just read: whoever attached before this commit was told its head and waits for what follows. */
    for (const event of events)
      for (const frame of framesOf(event, config.agentId)) await ports.fanOut.toAll(ref, frame, control.rev);
  }
};
