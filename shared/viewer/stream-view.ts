/** What a viewer's stream tells and needs: its view, its ports, how it starts. */
import type { Clock, Random } from '../clock.ts';
import type { SessionEvent } from '../events.ts';
import type { ControlToViewerFrame, FrameOf } from '../frames.ts';
import type { StreamAddress, TerminalSize } from '../session.ts';
import type { InputLoss } from './input-sender.ts';
import type { Recovered } from './stream-recovery.ts';
import { EMPTY_SEAT, type SeatView } from './stream-seat.ts';
import type { TerminalSink } from './stream-terminal.ts';
import type { SocketLike, SocketState, TicketResult } from './viewer-socket.ts';

export interface StreamView extends SeatView {
  readonly socket: SocketState;
  /** `null` until the control plane answered an attach. */
  readonly live: boolean | null;
  /** Bytes are known to be missing and have been asked for. */
  readonly behind: boolean;
  readonly problem: string | null;
  /** Typed characters that wait for the line, the runner or a late answer. */
  readonly pendingChars: number;
  /** What the last cut cost, once it is made good. */
  readonly recovered: Recovered | null;
}

export interface SessionStreamPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly ticket: () => Promise<TicketResult>;
  readonly dial: (protocols: string[]) => SocketLike;
  readonly terminal: TerminalSink;
  readonly onView: (view: StreamView) => void;
  readonly onAttached: (frame: FrameOf<ControlToViewerFrame, 'attached'>) => void;
  readonly onStateChange: (frame: FrameOf<ControlToViewerFrame, 'session_state_changed'>) => void;
  readonly onEvent: (event: SessionEvent) => void;
  readonly onInputLoss: (loss: InputLoss) => void;
  /** What the control plane refused; `view.problem` says it too. */
  readonly onError?: (frame: FrameOf<ControlToViewerFrame, 'error'>) => void;
  /** No runner is there: what is stored must be replayed, then `replayed` called. */
  readonly onNotLive: () => void;
}

export interface SessionStreamStart {
  readonly sessionId: string;
  readonly viewerId: string;
  readonly mode: 'control' | 'watch';
  /** Takes the keyboard even from somebody who has it: once, not again after a cut. */
  readonly takeOver?: boolean;
  /** What the others are told this viewer runs on. */
  readonly device?: string;
  readonly size: TerminalSize;
  /** Where to begin: the stream's first byte, so that a short stream is shown whole, scrollback included. */
  readonly from: StreamAddress | undefined;
}

export const NEW_VIEW: StreamView = {
  ...EMPTY_SEAT,
  socket: { kind: 'idle' },
  live: null,
  behind: false,
  problem: null,
  pendingChars: 0,
  recovered: null,
};
