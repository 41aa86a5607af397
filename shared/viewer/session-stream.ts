/** One session as a viewer sees it: attaches, keeps the terminal exact, sends input; survives every cut of its socket. */
import type { Clock, Random } from '../clock.ts';
import type { SessionEvent } from '../events.ts';
import type { ControlToViewerFrame, FrameOf, ViewerFrame } from '../frames.ts';
import { VIEWER_WRITE_QUEUE_MAX_CHARS } from '../limits.ts';
import { isFinal, type Presence, type StreamAddress, type TerminalSize } from '../session.ts';
import { AttachSchedule } from './attach-schedule.ts';
import { type InputLoss, type InputPiece, InputSender } from './input-sender.ts';
import { type Drawing, type TerminalAction, TerminalAssembler } from './terminal-assembler.ts';
import { type SocketLike, type SocketState, type TicketResult, ViewerSocket } from './viewer-socket.ts';
import { WantedSize } from './wanted-size.ts';

export interface StreamView {
  readonly socket: SocketState;
  /** `null` until the control plane answered an attach. */
  readonly live: boolean | null;
  readonly mode: 'control' | 'watch';
  readonly controllerId: string | null;
  readonly presence: readonly Presence[];
  /** Bytes are known to be missing and have been asked for. */
  readonly behind: boolean;
  readonly problem: string | null;
}

/** What shows the stream, in order. `clear` drops what was not drawn yet; beyond a cap of `pendingChars` it is called. */
export interface TerminalSink {
  apply(actions: readonly Drawing[]): void;
  clear(): void;
  pendingChars(): number;
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
  readonly size: TerminalSize;
  /** Where to begin: the stream's first byte, so that a short stream is shown whole, scrollback included. */
  readonly from: StreamAddress | undefined;
}

const TICK_MS = 200;

export class SessionStream {
  readonly #ports: SessionStreamPorts;
  readonly #start: SessionStreamStart;
  readonly #assembler = new TerminalAssembler();
  readonly #input = new InputSender();
  readonly #attaches = new AttachSchedule();
  readonly #size: WantedSize;
  readonly #socket: ViewerSocket;
  #wanted: 'control' | 'watch';
  #signedView: string | null = null;
  #takeOver: boolean;
  #heardRunner = false;
  #final = false;
  #knownRev = 0;
  #stopTick: (() => void) | null = null;
  #view: StreamView;

  constructor(start: SessionStreamStart, ports: SessionStreamPorts) {
    this.#start = start;
    this.#ports = ports;
    this.#size = new WantedSize(start.size);
    this.#takeOver = start.takeOver ?? false;
    this.#wanted = start.mode;
    this.#view = {
      socket: { kind: 'idle' },
      live: null,
      mode: 'watch',
      controllerId: null,
      presence: [],
      behind: false,
      problem: null,
    };
    this.#socket = new ViewerSocket({
      ...ports,
      onOpen: () => this.#attach(),
      onFrame: (frame) => this.#receive(frame),
      onState: (socket) => this.#show({ socket }),
      onProblem: ({ kind, message }) => {
        if (kind === 'gateway') this.#attaches.refused(this.#nowMs(), ports.random);
        this.#show({ problem: message });
      },
      pingTargets: () => [{ sessionId: start.sessionId, viewerId: start.viewerId }],
    });
  }

  get view(): StreamView {
    return this.#view;
  }
  get address(): StreamAddress | undefined {
    return this.#assembler.address;
  }
  /** Whether a runner was heard since the last attach and nothing that anybody told of is missing. */
  get caughtUp(): boolean {
    return this.#heardRunner && !this.#assembler.behind;
  }

  start(): void {
    this.#socket.start();
    this.#tick();
  }

  stop(): void {
    this.#stopTick?.();
    this.#stopTick = null;
    this.#sendInput(this.#input.leave());
    this.#socket.send({ type: 'detach', sessionId: this.#start.sessionId, viewerId: this.#start.viewerId });
    this.#socket.stop();
  }

  wake(): void {
    this.#socket.wake();
  }

  /** Asks for the keyboard, also when somebody else has it. */
  takeControl(): void {
    this.#wanted = 'control';
    this.#takeOver = true;
    this.#attach();
  }

  /** Gives the keyboard back and goes on watching. */
  watchOnly(): void {
    this.#wanted = 'watch';
    this.#takeOver = false;
    this.#attach();
  }

  type(text: string): void {
    const { send, loss } = this.#input.type(text, this.#nowMs());
    this.#sendInput(send);
    if (loss !== null) this.#ports.onInputLoss(loss);
  }

  /** The controller's size is the PTY's; a watcher's is only remembered for when it takes over. */
  resize(size: TerminalSize): void {
    if (this.#size.want(size)) this.#sendResize();
  }

  /** What is stored has been replayed up to `address`: live bytes go on from there. */
  replayed(address: StreamAddress): void {
    this.#assembler.rebase(address);
  }

  #attach(over: { from?: StreamAddress | undefined } = {}): void {
    const from = 'from' in over ? over.from : (this.#assembler.address ?? this.#start.from);
    const sent = this.#socket.send({
      type: 'attach',
      sessionId: this.#start.sessionId,
      viewerId: this.#start.viewerId,
      mode: this.#wanted,
      takeOver: this.#takeOver,
      ...(from === undefined ? {} : { from }),
      ...this.#size.size,
    });
    if (!sent) return;
    this.#heardRunner = false;
    this.#attaches.sent(this.#nowMs());
  }

  #receive(frame: ControlToViewerFrame): void {
    if ('sessionId' in frame && frame.sessionId !== undefined && frame.sessionId !== this.#start.sessionId) return;
    const nowMs = this.#nowMs();
    switch (frame.type) {
      case 'attached':
        this.#attached(frame);
        return;
      case 'presence':
        this.#presence(frame);
        return;
      case 'terminal_output':
        this.#isLive();
        this.#size.shown(frame, nowMs);
        this.#perform(this.#assembler.output(frame, nowMs));
        return;
      case 'terminal_snapshot':
        if (frame.viewerId !== this.#start.viewerId) return;
        this.#isLive();
        this.#size.shown(frame, nowMs);
        this.#perform(this.#assembler.snapshot(frame, nowMs));
        return;
      case 'head':
        this.#head(frame);
        return;
      case 'pong':
        // What is stored says nothing about whether a runner is there.
        for (const { sessionId, epoch, offset } of frame.heads)
          if (sessionId === this.#start.sessionId) this.#perform(this.#assembler.head({ epoch, offset }, nowMs));
        return;
      case 'input_ack':
        if (frame.viewerId === this.#start.viewerId) this.#sendInput(this.#input.acked(frame, nowMs));
        return;
      case 'input_reset':
        if (frame.viewerId === this.#start.viewerId) this.#tell(this.#input.reset(frame));
        return;
      case 'session_event':
        this.#sized(frame.event);
        this.#ports.onEvent(frame.event);
        return;
      case 'session_state_changed':
        if (isFinal(frame.toState)) this.#ended();
        this.#ports.onStateChange(frame);
        return;
      case 'error':
        if (frame.code === 'throttled' || frame.code === 'unavailable')
          this.#attaches.refused(nowMs, this.#ports.random);
        this.#show({ problem: frame.message });
        this.#ports.onError?.(frame);
        return;
      case 'approval_requested':
      case 'approval_resolved':
        // Both also come as durable events, which the page lists.
        return;
    }
  }

  #attached(frame: FrameOf<ControlToViewerFrame, 'attached'>): void {
    if (frame.viewerId !== this.#start.viewerId) return;
    this.#attaches.answered();
    this.#takeOver = false;
    this.#signedView = frame.view;
    this.#final = isFinal(frame.session.state);
    this.#ports.onAttached(frame);
    this.#show({ live: frame.live, problem: null });
    this.#presence(frame);
    const { epoch, offset } = frame.head;
    if (epoch === 0) return;
    this.#perform(this.#assembler.head({ epoch, offset }, this.#nowMs()));
    if (!frame.live && this.#assembler.behind) this.#ports.onNotLive();
  }

  #head(head: StreamAddress): void {
    this.#heardRunner = true;
    this.#perform(this.#assembler.head(head, this.#nowMs()));
  }

  /** A resize that no output followed is known from its event alone. */
  #sized(event: SessionEvent): void {
    if (event.type !== 'terminal_resized') return;
    this.#size.shown(event, this.#nowMs());
    this.#perform(this.#assembler.output({ ...event, data: '' }, this.#nowMs()));
  }

  /** What the stream still lacks now comes from storage: the next attach says so. */
  #ended(): void {
    this.#final = true;
    this.#show({ live: false });
  }

  /** Bytes come only from a runner: it is back, whatever the last attach said. */
  #isLive(): void {
    this.#heardRunner = true;
    if (this.#view.live !== true && !this.#final) this.#show({ live: true });
  }

  #presence(
    frame: Pick<FrameOf<ControlToViewerFrame, 'presence'>, 'rev' | 'viewers' | 'controllerId' | 'controlTerm'>,
  ) {
    // Frames overtake each other: an older list brings nobody back.
    if (frame.rev < this.#knownRev) return;
    this.#knownRev = frame.rev;
    const mine = frame.controllerId === this.#start.viewerId;
    const gained = mine && !this.#input.controlling;
    const { resend, loss } = this.#input.control(mine ? frame.controlTerm : null, this.#nowMs());
    if (!mine && this.#view.mode === 'control') this.#wanted = 'watch';
    this.#show({ presence: frame.viewers, controllerId: frame.controllerId, mode: mine ? 'control' : 'watch' });
    this.#tell(loss);
    this.#sendInput(resend);
    if (gained) this.#sendResize();
  }

  #perform(actions: readonly TerminalAction[]): void {
    for (const action of actions) {
      if (action.kind === 'reattach') this.#attach({ from: action.from });
      else this.#ports.terminal.apply([action]);
    }
    if (this.#ports.terminal.pendingChars() > VIEWER_WRITE_QUEUE_MAX_CHARS) {
      // Too slow to draw it all: the screen as it is now serves a person better than a growing queue.
      this.#ports.terminal.clear();
      this.#assembler.forget();
      this.#attach({ from: undefined });
    }
    if (this.#assembler.behind !== this.#view.behind) this.#show({ behind: this.#assembler.behind });
  }

  #sendInput(pieces: readonly InputPiece[]): void {
    const { sessionId, viewerId } = this.#start;
    if (this.#signedView === null) return;
    for (const piece of pieces) {
      this.#socket.send({ type: 'input', sessionId, viewerId, view: this.#signedView, ...piece });
    }
  }

  #sendResize(): void {
    const controlTerm = this.#input.term;
    if (controlTerm === null || this.#signedView === null) return;
    const frame: ViewerFrame = {
      type: 'resize',
      sessionId: this.#start.sessionId,
      viewerId: this.#start.viewerId,
      view: this.#signedView,
      controlTerm,
      rev: this.#size.nextRev(this.#ports.clock.nowMs()),
      ...this.#size.size,
    };
    this.#socket.send(frame);
  }

  #tick(): void {
    const nowMs = this.#nowMs();
    if (this.#socket.state.kind === 'open') {
      const waits = this.#view.live === false && (!this.#final || this.#assembler.behind);
      if (this.#attaches.isDue(nowMs, waits)) this.#attach();
      if (this.#size.takeAgain(nowMs)) this.#sendResize();
      if (this.#view.live === true) this.#perform(this.#assembler.tick(nowMs));
      this.#sendInput(this.#input.tick(nowMs));
    }
    this.#stopTick = this.#ports.clock.after(TICK_MS, () => this.#tick());
  }

  #tell(loss: InputLoss | null): void {
    if (loss !== null) this.#ports.onInputLoss(loss);
  }

  #show(change: Partial<StreamView>): void {
    this.#view = { ...this.#view, ...change };
    this.#ports.onView(this.#view);
  }

  #nowMs(): number {
    return this.#ports.clock.monotonicMs();
  }
}
