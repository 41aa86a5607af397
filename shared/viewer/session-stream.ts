/** One session as a viewer sees it: attaches, keeps the terminal exact, sends input; survives every cut of its socket. */
import type { SessionEvent } from '../events.ts';
import type { ControlToViewerFrame, FrameOf } from '../frames.ts';
import { INPUT_SILENCE_MS } from '../limits.ts';
import { isFinal, type StreamAddress, type TerminalSize } from '../session.ts';
import { AttachSchedule } from './attach-schedule.ts';
import { StreamControl } from './stream-control.ts';
import { StreamKeyboard } from './stream-keyboard.ts';
import { StreamRecovery } from './stream-recovery.ts';
import { StreamTerminal } from './stream-terminal.ts';
import { NEW_VIEW, type SessionStreamPorts, type SessionStreamStart, type StreamView } from './stream-view.ts';
import { type SocketState, ViewerSocket } from './viewer-socket.ts';

const TICK_MS = 200;
/** What is kept here and sent again is no problem for the person: that it waits shows beside the keyboard. */
const KEPT_CODES: ReadonlySet<string> = new Set(['session_not_ready', 'stale_epoch']);
export class SessionStream {
  readonly #ports: SessionStreamPorts;
  readonly #start: SessionStreamStart;
  readonly #terminal: StreamTerminal;
  readonly #keyboard: StreamKeyboard;
  readonly #control: StreamControl;
  readonly #recovery = new StreamRecovery();
  readonly #attaches = new AttachSchedule();
  readonly #socket: ViewerSocket;
  /** What was stored before this epoch began was asked for. */
  #storedBefore = 0;
  #takeOver: boolean;
  #heardRunner = false;
  #final = false;
  #stopTick: (() => void) | null = null;
  #view = NEW_VIEW;

  constructor(start: SessionStreamStart, ports: SessionStreamPorts) {
    this.#start = start;
    this.#ports = ports;
    this.#takeOver = start.takeOver ?? false;
    this.#control = new StreamControl(start.mode, {
      ...this.#me,
      nowMs: () => this.#nowMs(),
      send: (frame) => this.#socket.send(frame),
      onSeat: (seat) => this.#show(seat),
      onTerm: (term) => this.#keyboard.control(term),
    });
    this.#terminal = new StreamTerminal({
      sink: ports.terminal,
      reattach: (from) => this.#attach({ from }),
      onBehind: (behind) => this.#show({ behind }),
    });
    this.#keyboard = new StreamKeyboard(start.size, {
      ...this.#me,
      nowMs: () => this.#nowMs(),
      epochMs: () => ports.clock.nowMs(),
      send: (frame) => this.#socket.send(frame),
      isReady: () => this.#socket.state.kind === 'open' && this.#view.live !== false,
      onLoss: (loss) => ports.onInputLoss(loss),
      onPending: (pendingChars) => this.#show({ pendingChars }),
    });
    this.#socket = new ViewerSocket({
      ...ports,
      onOpen: () => this.#attach(),
      onFrame: (frame) => this.#receive(frame),
      onState: (socket) => this.#onSocket(socket),
      onProblem: ({ kind, message }) => {
        if (kind === 'gateway') this.#attaches.refused(this.#nowMs(), ports.random);
        this.#show({ problem: message });
      },
      pingTargets: () => [this.#me],
    });
  }

  get view(): StreamView {
    return this.#view;
  }
  get address(): StreamAddress | undefined {
    return this.#terminal.address;
  }
  /** Whether a runner was heard since the last attach and nothing that anybody told of is missing. */
  get caughtUp(): boolean {
    return this.#heardRunner && !this.#terminal.behind;
  }

  start(): void {
    this.#socket.start();
    this.#tick();
  }

  stop(): void {
    this.#stopTick?.();
    this.#stopTick = null;
    this.#keyboard.leave();
    this.#socket.send({ type: 'detach', ...this.#me });
    this.#socket.stop();
  }

  /** The network is back, or the page is looked at again. */
  wake(): void {
    this.#socket.wake();
  }
  /** The device says that it lost its network, which may not concern this line. */
  networkLost(): void {
    this.#socket.probe(true);
  }
  /** A person does something. */
  attend(): void {
    this.#socket.attend();
  }

  /** Asks whoever has the keyboard for it; takes it where nobody has. */
  askControl(): void {
    if (!this.#control.ask()) this.takeControl();
  }
  /** Takes the question back. */
  stopAsking(): void {
    this.#control.stopAsking();
  }
  /** What this viewer, who leads, says to the one who asks. */
  answerControl(allow: boolean): void {
    this.#control.answer(allow);
  }

  /** Takes the keyboard, also when somebody else has it. */
  takeControl(): void {
    this.#control.want('control');
    this.#takeOver = true;
    this.#attach();
  }

  /** Gives the keyboard back and goes on watching. */
  watchOnly(): void {
    this.#control.want('watch');
    this.#takeOver = false;
    this.#attach();
  }

  type(text: string): void {
    this.#keyboard.type(text);
  }

  /** The controller's size is the PTY's; a watcher's is only remembered for when it takes over. */
  resize(size: TerminalSize): void {
    this.#keyboard.resize(size);
  }

  /** What is stored has been replayed up to `address`: live bytes go on from there. */
  replayed(address: StreamAddress): void {
    this.#terminal.rebase(address);
  }

  get #me(): { sessionId: string; viewerId: string } {
    return { sessionId: this.#start.sessionId, viewerId: this.#start.viewerId };
  }

  #onSocket(socket: SocketState): void {
    const wasOpen = this.#view.socket.kind === 'open';
    if (wasOpen && socket.kind !== 'open') this.#recovery.cut();
    this.#show(socket.kind === 'open' ? { socket } : { socket, recovered: null });
  }

  #attach(over: { from?: StreamAddress | undefined } = {}): void {
    const from = 'from' in over ? over.from : (this.#terminal.address ?? this.#start.from);
    const sent = this.#socket.send({
      type: 'attach',
      ...this.#me,
      mode: this.#control.wanted,
      takeOver: this.#takeOver,
      ...(this.#start.device === undefined ? {} : { device: this.#start.device }),
      ...(from === undefined ? {} : { from }),
      ...this.#keyboard.size,
    });
    if (!sent) return;
    this.#heardRunner = false;
    this.#attaches.sent(this.#nowMs());
  }

  #receive(frame: ControlToViewerFrame): void {
    if ('sessionId' in frame && frame.sessionId !== undefined && frame.sessionId !== this.#start.sessionId) return;
    if ('viewerId' in frame && frame.viewerId !== this.#start.viewerId) return;
    const nowMs = this.#nowMs();
    switch (frame.type) {
      case 'attached':
        this.#attached(frame);
        break;
      case 'presence':
        this.#control.accept(frame);
        break;
      case 'terminal_output':
        this.#fromRunner(frame);
        this.#terminal.output(frame, nowMs);
        break;
      case 'terminal_snapshot':
        this.#fromRunner(frame);
        this.#terminal.snapshot(frame, nowMs);
        break;
      case 'head':
        this.#heardRunner = true;
        this.#terminal.head(frame, nowMs);
        break;
      case 'pong':
        // What is stored says nothing about whether a runner is there.
        for (const head of frame.heads) if (head.sessionId === this.#start.sessionId) this.#terminal.head(head, nowMs);
        break;
      case 'input_ack':
        this.#keyboard.acked(frame);
        break;
      case 'input_reset':
        this.#keyboard.reset(frame);
        break;
      case 'session_event':
        this.#event(frame.event);
        break;
      case 'session_state_changed':
        if (isFinal(frame.toState)) this.#ended();
        this.#ports.onStateChange(frame);
        break;
      case 'error':
        this.#refused(frame);
        break;
      case 'approval_requested':
      case 'approval_resolved':
        // Both also come as durable events, which the page lists.
        break;
    }
    this.#tellRecovered();
  }

  #attached(frame: FrameOf<ControlToViewerFrame, 'attached'>): void {
    this.#attaches.answered();
    this.#takeOver = false;
    this.#control.sign(frame.view);
    this.#keyboard.sign(frame.view);
    this.#keyboard.startEpoch(frame.head.epoch);
    this.#final = isFinal(frame.session.state);
    this.#recovery.attached(frame.head.seq);
    this.#ports.onAttached(frame);
    this.#show({ live: frame.live, problem: null });
    this.#control.accept(frame);
    const { epoch, offset } = frame.head;
    if (epoch === 0) return;
    this.#terminal.head({ epoch, offset }, this.#nowMs());
    if (!frame.live && (this.#terminal.behind || this.#lacksEarlier(epoch))) this.#ports.onNotLive();
  }

  /** Between two epochs the head stands at the beginning of the next: how far the last one went is known from storage alone. */
  #lacksEarlier(epoch: number): boolean {
    const shown = Math.max(1, this.#terminal.address?.epoch ?? 0, this.#storedBefore);
    if (epoch <= shown) return false;
    this.#storedBefore = epoch;
    return true;
  }

  #event(event: SessionEvent): void {
    this.#recovery.seen(event.seq);
    // A resize that no output followed is known from its event alone.
    if (event.type === 'terminal_resized') {
      this.#keyboard.shown(event);
      this.#terminal.output({ ...event, data: '' }, this.#nowMs());
    }
    this.#ports.onEvent(event);
  }

  #refused(frame: FrameOf<ControlToViewerFrame, 'error'>): void {
    if (frame.code === 'throttled' || frame.code === 'unavailable')
      this.#attaches.refused(this.#nowMs(), this.#ports.random);
    if (!KEPT_CODES.has(frame.code)) this.#show({ problem: frame.message });
    this.#ports.onError?.(frame);
  }

  /** What the stream still lacks now comes from storage: the next attach says so. */
  #ended(): void {
    this.#final = true;
    this.#show({ live: false });
  }

  /** Bytes come only from a runner: it is back, whatever the last attach said. */
  #fromRunner(frame: { epoch: number } & TerminalSize): void {
    this.#heardRunner = true;
    this.#keyboard.startEpoch(frame.epoch);
    this.#keyboard.shown(frame);
    if (this.#view.live === true || this.#final) return;
    this.#show({ live: true });
    this.#keyboard.flush();
  }

  #tick(): void {
    const nowMs = this.#nowMs();
    if (this.#socket.state.kind === 'open') {
      const waits = this.#view.live === false && (!this.#final || this.#terminal.behind);
      if (this.#attaches.isDue(nowMs, waits)) this.#attach();
      if (this.#view.live === true) this.#terminal.tick(nowMs);
      const isSilent = Math.min(this.#socket.silentMs, this.#keyboard.waitedMs ?? 0) >= INPUT_SILENCE_MS;
      if (isSilent && this.#view.live === true) this.#socket.probe();
    }
    this.#keyboard.tick();
    this.#control.tick();
    this.#tellRecovered();
    this.#stopTick = this.#ports.clock.after(TICK_MS, () => this.#tick());
  }

  #tellRecovered(): void {
    const isThere = this.#view.live === true ? this.caughtUp : this.#view.live === false;
    const recovered = this.#recovery.take(isThere, this.#ports.clock.nowMs());
    if (recovered !== null) this.#show({ recovered });
  }

  #show(change: Partial<StreamView>): void {
    this.#view = { ...this.#view, ...change };
    this.#ports.onView(this.#view);
  }

  #nowMs(): number {
    return this.#ports.clock.monotonicMs();
  }
}
