/** Frames of a viewer: attach and detach, keystrokes and sizes on their way to the runner, pings. Each answer is the route's response. */
import type { Clock } from '../../shared/clock.ts';
import { AppError } from '../../shared/errors.ts';
import { API_VIEWER_ID, type ControlToViewerFrame, type FrameOf, type ViewerFrame } from '../../shared/frames.ts';
import { isFinal, type SessionView } from '../../shared/session.ts';
import { type SessionRef, type SessionStore, viewOf } from '../sessions/session-store.ts';
import type { Signer } from '../signing.ts';
import type { RunnerLine } from './runner-line.ts';
import type { FanOut } from './viewer-fan-out.ts';
import { presenceOf, type WatcherStore } from './watchers.ts';

export interface ViewerPorts {
  readonly sessions: SessionStore;
  readonly watchers: WatcherStore;
  readonly runners: RunnerLine;
  readonly fanOut: FanOut;
  readonly signer: Signer;
  readonly clock: Clock;
}

/** Who is on the connection, as the authorizer found out. */
export interface ViewerConnection {
  readonly connectionId: string;
  readonly tenantId: string;
  readonly userId: string;
}

/** A frame holds 32 KiB: the last screen of a failed session is read over HTTP. */
const withoutScreen = (view: SessionView): SessionView => {
  if (view.reason === null) return view;
  const { lastScreen: _lastScreen, ...reason } = view.reason;
  return { ...view, reason };
};

const VIEW_TTL_SEC = 3 * 60 * 60;

const notFound = () => new AppError('not_found', 'There is no such session.');

const attach = async (
  ports: ViewerPorts,
  who: ViewerConnection,
  frame: FrameOf<ViewerFrame, 'attach'>,
): Promise<ControlToViewerFrame> => {
  const ref: SessionRef = { tenantId: who.tenantId, sessionId: frame.sessionId };
  if ((await ports.sessions.head(ref)) === null) throw notFound();
  const row = {
    viewerId: frame.viewerId,
    connectionId: who.connectionId,
    userId: who.userId,
    mode: frame.mode,
    sinceMs: ports.clock.nowMs(),
    device: frame.device ?? '',
  };
  if (frame.viewerId === API_VIEWER_ID)
    throw new AppError('invalid_frame', `No viewer may be called ${API_VIEWER_ID}: attach under another viewerId.`);
  const watchers = await ports.watchers.attach(ref, row, frame.takeOver);
  if (watchers === null)
    throw new AppError(
      'too_many_viewers',
      'This session has as many viewers as it may have: close one, then attach again.',
    );
  /** Read after the viewer is on the list: what is committed later finds it there, what was committed before is in this head. */
  const record = await ports.sessions.record(ref);
  if (record === null) throw notFound();
  const { meta, head } = record;
  const mode = watchers.control.controllerId === frame.viewerId ? 'control' : 'watch';
  const expSec = Math.floor(ports.clock.nowMs() / 1_000) + VIEW_TTL_SEC;
  const view = await ports.signer.sign({
    kind: 'view',
    tenantId: who.tenantId,
    sessionId: frame.sessionId,
    viewerId: frame.viewerId,
    userId: who.userId,
    expSec,
  });
  let live = false;
  if (head.open) {
    await ports.fanOut.announce(ref, head.epoch, watchers);
    live = await ports.runners.post(ref, {
      type: 'attach',
      sessionId: frame.sessionId,
      epoch: head.epoch,
      rev: watchers.control.rev,
      viewerId: frame.viewerId,
      mode,
      controlTerm: watchers.control.controlTerm,
      ...(frame.from === undefined ? {} : { from: frame.from }),
      cols: frame.cols,
      rows: frame.rows,
    });
  }
  return {
    type: 'attached',
    sessionId: frame.sessionId,
    viewerId: frame.viewerId,
    session: withoutScreen(viewOf(meta)),
    live: live && !isFinal(head.state),
    head: { epoch: head.epoch, offset: head.offset, seq: head.seq },
    mode,
    view,
    ...presenceOf(watchers),
  };
};

/** The keystroke path: a verified view and a remembered pointer, no read. Whether the viewer still leads is the runner's to say. */
const input = async (
  ports: ViewerPorts,
  who: ViewerConnection,
  frame: FrameOf<ViewerFrame, 'input'>,
): Promise<ControlToViewerFrame | null> => {
  const ref = await viewedSession(ports, who, frame);
  const epoch = frameEpoch(await ports.sessions.epochOf(ref));
  /** Typed at the screen of a life that is over: the program that runs now must not get it. */
  if (frame.epoch !== undefined && frame.epoch !== epoch)
    throw new AppError('stale_epoch', 'The session went on elsewhere: what you typed was not delivered.');
  const taken = await ports.runners.post(ref, {
    type: 'input',
    sessionId: frame.sessionId,
    epoch,
    viewerId: frame.viewerId,
    source: 'viewer',
    controlTerm: frame.controlTerm,
    inputSeq: frame.inputSeq,
    data: frame.data,
    submit: false,
  });
  if (taken) return null;
  throw new AppError('session_not_ready', 'The session has no runner right now: what you typed was not delivered.');
};

const frameEpoch = (epoch: number | null): number => {
  if (epoch === null) throw notFound();
  return epoch;
};

const viewedSession = async (
  ports: ViewerPorts,
  who: ViewerConnection,
  frame: { sessionId: string; viewerId: string; view: string },
): Promise<SessionRef> => {
  const view = await ports.signer.verify('view', frame.view);
  if (view.tenantId !== who.tenantId || view.sessionId !== frame.sessionId || view.viewerId !== frame.viewerId)
    throw new AppError('forbidden', 'This view belongs to another session: attach again.');
  return { tenantId: who.tenantId, sessionId: frame.sessionId };
};

const resize = async (
  ports: ViewerPorts,
  who: ViewerConnection,
  frame: FrameOf<ViewerFrame, 'resize'>,
): Promise<null> => {
  const ref = await viewedSession(ports, who, frame);
  const epoch = frameEpoch(await ports.sessions.epochOf(ref));
  const { sessionId, viewerId, controlTerm, rev, cols, rows } = frame;
  await ports.runners.post(ref, { type: 'resize', sessionId, epoch, rev, viewerId, controlTerm, cols, rows });
  return null;
};

const detach = async (ports: ViewerPorts, who: ViewerConnection, ref: SessionRef, viewerId: string): Promise<null> => {
  const left = await ports.watchers.detach(ref, viewerId, who.connectionId);
  const epoch = left === null ? null : await ports.sessions.epochOf(ref);
  if (left !== null && epoch !== null) await ports.fanOut.announce(ref, epoch, left);
  return null;
};

const ping = async (
  ports: ViewerPorts,
  who: ViewerConnection,
  frame: FrameOf<ViewerFrame, 'ping'>,
): Promise<ControlToViewerFrame> => {
  const heads = await Promise.all(
    frame.attached.map(async ({ sessionId, viewerId }) => {
      const ref = { tenantId: who.tenantId, sessionId };
      const [head] = await Promise.all([
        ports.sessions.head(ref),
        ports.watchers.touch(ref, viewerId, who.connectionId),
      ]);
      return head === null
        ? []
        : [{ type: 'head' as const, sessionId, epoch: head.epoch, offset: head.offset, seq: head.seq }];
    }),
  );
  return { type: 'pong', ts: frame.ts, heads: heads.flat() };
};

/** Asking and answering both end in a list that everybody gets; who asked has it as the route's response. */
const negotiate = async (
  ports: ViewerPorts,
  who: ViewerConnection,
  frame: FrameOf<ViewerFrame, 'control_request' | 'control_answer'>,
): Promise<ControlToViewerFrame> => {
  const ref = await viewedSession(ports, who, frame);
  const { rev } = (await ports.watchers.read(ref)).control;
  const watchers =
    frame.type === 'control_request'
      ? await ports.watchers.ask(ref, frame.viewerId, frame.wanted)
      : await ports.watchers.answer(ref, frame.viewerId, frame);
  if (watchers.control.rev !== rev)
    await ports.fanOut.announce(ref, frameEpoch(await ports.sessions.epochOf(ref)), watchers);
  return { type: 'presence', sessionId: frame.sessionId, ...presenceOf(watchers) };
};

/**
 * @returns what goes back on the same socket, or `null`
 * @throws AppError, which becomes an `error` frame
 */
export const handleViewerFrame = async (
  ports: ViewerPorts,
  who: ViewerConnection,
  frame: ViewerFrame,
): Promise<ControlToViewerFrame | null> => {
  switch (frame.type) {
    case 'attach':
      return attach(ports, who, frame);
    case 'detach':
      return detach(ports, who, { tenantId: who.tenantId, sessionId: frame.sessionId }, frame.viewerId);
    case 'input':
      return input(ports, who, frame);
    case 'resize':
      return resize(ports, who, frame);
    case 'ping':
      return ping(ports, who, frame);
    case 'control_request':
    case 'control_answer':
      return negotiate(ports, who, frame);
    case 'approval_decision':
      throw new AppError('unavailable', 'Approvals cannot be decided yet: nothing is allowed by default.');
  }
};

/** A connection that ended takes its views with it. */
export const viewerDisconnected = async (ports: ViewerPorts, who: ViewerConnection): Promise<void> => {
  for (;;) {
    /** Each detach takes its row away, so every page is a new one. */
    const attachments = await ports.watchers.attachments(who.tenantId, who.connectionId);
    if (attachments.length === 0) return;
    for (const { ref, viewerId } of attachments) await detach(ports, who, ref, viewerId);
  }
};
