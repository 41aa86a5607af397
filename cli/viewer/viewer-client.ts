/** A viewer of one session over WebSocket: stays attached through cuts, shows every byte once and in order, loses no key silently. */
import { z } from 'zod';
import { type Clock, type Random, systemClock, systemRandom } from '../../shared/clock.ts';
import { ControlToViewerFrame, type FrameOf, type ViewerFrame } from '../../shared/frames.ts';
import { PING_INTERVAL_MS, RECONNECT_BASE_MS, RECONNECT_MAX_MS, VIEWER_HOLD_MS } from '../../shared/limits.ts';
import { CliError } from '../cli-error.ts';
import { InputQueue } from './input-queue.ts';
import { type Address, type Size, type TerminalSink, TerminalStream } from './terminal-stream.ts';

export type Attached = FrameOf<ControlToViewerFrame, 'attached'>;
export type StateChange = FrameOf<ControlToViewerFrame, 'session_state_changed'>;

/** One open connection. `onClose` is called once, after it no `onMessage`. */
export interface ViewerSocket {
  send(text: string): void;
  close(): void;
}
export interface SocketHandlers {
  onOpen(): void;
  onMessage(text: string): void;
  onClose(reason: string): void;
}
/** Fetches a ticket and dials. Rejects with CliError where trying again is of no use (not signed in, not found). */
export type DialViewer = (handlers: SocketHandlers) => Promise<ViewerSocket>;

export interface ViewerClientOptions {
  readonly dial: DialViewer;
  readonly sessionId: string;
  readonly mode: 'control' | 'watch';
  readonly takeOver?: boolean;
  readonly size: Size;
  readonly from?: Address;
  readonly sink: TerminalSink;
  readonly onAttached?: (frame: Attached) => void;
  readonly onStateChange?: (frame: StateChange) => void;
  /** Keys that did not reach the program. */
  readonly onInputLost?: (reason: string) => void;
  readonly onConnection?: (state: 'connected' | 'reconnecting', why?: string) => void;
  readonly clock?: Clock;
  readonly random?: Random;
}

type TimerName = 'retry' | 'catchUp' | 'ping' | 'size';

const VIEWER_ID_BYTES = 12;
/** A size that did not arrive (no runner yet, a frame lost) is asked for again this long after it shows. */
const SIZE_RETRY_MS = 500;
const CATCH_UP_DOUBLINGS_MAX = 4;
const GatewayMessage = z.looseObject({ message: z.string(), connectionId: z.string().optional() });
/** Errors after which attaching again is of no use. */
const FATAL_CODES: ReadonlySet<string> = new Set([
  'not_found',
  'forbidden',
  'not_signed_in',
  'too_many_viewers',
  'invalid_credential',
]);

export class ViewerClient {
  readonly viewerId: string;
  /** Rejects when the session cannot be watched at all; resolves after `close`. */
  readonly done: Promise<void>;
  readonly #options: ViewerClientOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #stream: TerminalStream;
  readonly #input = new InputQueue();
  readonly #finished = Promise.withResolvers<void>();
  readonly #timers = new Map<TimerName, () => void>();
  #socket: ViewerSocket | undefined;
  #attached: Attached | undefined;
  #controllerId: string | null = null;
  #head: Address = { epoch: 0, offset: 0 };
  #size: Size;
  #shownSize: Size | undefined;
  #resizeRev = 0;
  #failures = 0;
  #catchUps = 0;
  #heardRunner = false;
  #isClosed = false;

  constructor(options: ViewerClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#size = options.size;
    this.#stream = new TerminalStream(options.sink, options.from);
    this.viewerId = `cli-${this.#random.hex(VIEWER_ID_BYTES)}`;
    this.done = this.#finished.promise;
    this.done.catch(() => {}); // Whoever awaits it hears of it; nobody has to.
    void this.#connect();
  }

  get position(): Address | undefined {
    return this.#stream.position;
  }
  /** The furthest address anybody told us of. */
  get head(): Address {
    return this.#head;
  }
  /** Whether the runner was heard since the last attach and nothing it told us of is missing. */
  get isCaughtUp(): boolean {
    return this.#heardRunner && !this.#isMissing();
  }
  get isController(): boolean {
    return this.#controllerId === this.viewerId;
  }

  /** False when it cannot be taken now: nothing was sent. */
  input(data: string): boolean {
    if (this.#attached === undefined || !this.isController) return false;
    const frames = this.#input.push(data);
    for (const frame of frames) this.#sendInput(frame);
    return frames.length > 0;
  }

  resize(size: Size): void {
    this.#size = size;
    if (this.#attached === undefined || !this.isController) return;
    this.#resizeRev += 1;
    const { sessionId } = this.#options;
    const { view } = this.#attached;
    const frame = { sessionId, viewerId: this.viewerId, view, controlTerm: this.#input.term, rev: this.#resizeRev };
    this.#send({ type: 'resize', ...frame, ...size });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#send({ type: 'detach', sessionId: this.#options.sessionId, viewerId: this.viewerId });
    this.#end();
    this.#finished.resolve();
  }

  #end(): void {
    this.#isClosed = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#socket?.close();
  }
  #fail(error: Error): void {
    this.#end();
    this.#finished.reject(error);
  }

  #after(name: TimerName, delayMs: number, run: () => void): void {
    this.#timers.get(name)?.();
    const cancel = this.#clock.after(delayMs, () => {
      this.#timers.delete(name);
      run();
    });
    this.#timers.set(name, cancel);
  }

  async #connect(): Promise<void> {
    try {
      const socket = await this.#options.dial({
        onOpen: () => {},
        onMessage: (text) => this.#onMessage(text),
        onClose: (reason) => this.#onClose(reason),
      });
      if (this.#isClosed) {
        socket.close();
        return;
      }
      this.#socket = socket;
      this.#attach();
      this.#after('ping', PING_INTERVAL_MS, () => this.#ping());
    } catch (error) {
      if (error instanceof CliError && FATAL_CODES.has(error.code)) this.#fail(error);
      else this.#onClose(error instanceof Error ? error.message : String(error));
    }
  }

  #onClose(reason: string): void {
    if (this.#isClosed) return;
    this.#socket = undefined;
    this.#attached = undefined;
    this.#options.onConnection?.('reconnecting', reason);
    this.#retry(() => void this.#connect());
  }

  /** Full jitter: a thousand viewers that were cut together do not come back together. */
  #retry(run: () => void): void {
    const ceilingMs = Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#after('retry', this.#random.next() * ceilingMs, run);
  }

  #send(frame: ViewerFrame): void {
    this.#socket?.send(JSON.stringify(frame));
  }

  #sendInput(frame: { controlTerm: number; inputSeq: number; data: string }): void {
    if (this.#attached === undefined) return;
    const { view, sessionId } = this.#attached;
    this.#send({ type: 'input', sessionId, viewerId: this.viewerId, view, ...frame });
  }

  #attach(): void {
    const { sessionId, mode, takeOver = false } = this.#options;
    // Control that was taken by another in the meantime is not taken back by a reconnect.
    const isFirst = this.#failures === 0 && this.#stream.position === undefined;
    this.#heardRunner = false;
    this.#send({
      type: 'attach',
      sessionId,
      viewerId: this.viewerId,
      mode,
      takeOver: takeOver && isFirst,
      ...(this.#stream.position === undefined ? {} : { from: this.#stream.position }),
      ...this.#size,
    });
  }

  #ping(): void {
    const attached = [{ sessionId: this.#options.sessionId, viewerId: this.viewerId }];
    this.#send({ type: 'ping', ts: this.#clock.nowMs(), attached });
    this.#after('ping', PING_INTERVAL_MS, () => this.#ping());
  }

  /** Bytes may still be on their way; what did not come after a while only a new attach brings, and each one may take longer. */
  #catchUpLater(): void {
    if (!this.#isMissing()) {
      this.#catchUps = 0;
      return;
    }
    // Without a runner nobody can answer: its screen comes when it is back.
    const isAnswered = this.#attached?.live !== false || this.#heardRunner;
    if (!isAnswered || this.#timers.has('catchUp')) return;
    this.#after('catchUp', VIEWER_HOLD_MS * 2 ** Math.min(this.#catchUps, CATCH_UP_DOUBLINGS_MAX), () => {
      if (!this.#isMissing()) return;
      this.#catchUps += 1;
      this.#attach();
    });
  }

  #isMissing(): boolean {
    return this.#stream.isHolding || this.#stream.isBehind(this.#head);
  }

  #sawHead(head: Address): void {
    if (head.epoch > this.#head.epoch || (head.epoch === this.#head.epoch && head.offset > this.#head.offset))
      this.#head = { epoch: head.epoch, offset: head.offset };
    this.#catchUpLater();
  }

  #onMessage(text: string): void {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      return; // Not ours: the next frame or the next head heals what was in it.
    }
    const parsed = ControlToViewerFrame.safeParse(json);
    if (parsed.success) {
      this.#onFrame(parsed.data);
      return;
    }
    // The gateway's own errors have no type: it could not run our frame, so we ask again after a pause.
    const isGatewayError = GatewayMessage.safeParse(json).success;
    if (isGatewayError && !this.#timers.has('retry')) this.#retry(() => this.#attach());
  }

  #onFrame(frame: ControlToViewerFrame): void {
    switch (frame.type) {
      case 'attached':
        this.#onAttached(frame);
        break;
      case 'terminal_output':
      case 'terminal_snapshot':
      case 'head':
      case 'pong':
        this.#onTerminal(frame);
        break;
      case 'input_ack':
        this.#input.acked(frame.controlTerm, frame.inputSeq);
        break;
      case 'input_reset':
        if (this.#input.reset(frame.controlTerm, frame.expected) > 0) this.#options.onInputLost?.(frame.reason);
        break;
      case 'session_state_changed':
        this.#options.onStateChange?.(frame);
        break;
      case 'presence':
        this.#controllerId = frame.controllerId;
        this.#takeTerm(frame.controlTerm);
        break;
      case 'error':
        this.#onError(frame);
        break;
      default: // Approvals and events: not shown by a terminal.
    }
  }

  #onTerminal(frame: FrameOf<ControlToViewerFrame, 'terminal_output' | 'terminal_snapshot' | 'head' | 'pong'>): void {
    this.#heardRunner = true;
    if ('cols' in frame) this.#sawSize(frame);
    if (frame.type === 'terminal_output') {
      this.#stream.output(frame);
      this.#sawHead({ epoch: frame.epoch, offset: frame.offset + Buffer.byteLength(frame.data) });
    } else if (frame.type === 'terminal_snapshot') {
      this.#stream.snapshot(frame);
      this.#sawHead(frame);
    } else if (frame.type === 'head') this.#sawHead(frame);
    else for (const head of frame.heads) if (head.sessionId === this.#options.sessionId) this.#sawHead(head);
  }

  #sawSize({ cols, rows }: Size): void {
    this.#shownSize = { cols, rows };
    const isOurs = (): boolean => this.#shownSize?.cols === this.#size.cols && this.#shownSize.rows === this.#size.rows;
    if (isOurs() || !this.isController || this.#timers.has('size')) return;
    this.#after('size', SIZE_RETRY_MS, () => {
      if (!isOurs()) this.resize(this.#size);
    });
  }

  #onAttached(frame: Attached): void {
    this.#failures = 0;
    this.#attached = frame;
    this.#controllerId = frame.controllerId;
    this.#options.onConnection?.('connected');
    this.#takeTerm(frame.controlTerm);
    this.#options.onAttached?.(frame);
    this.#sawHead(frame.head);
  }

  #takeTerm(controlTerm: number): void {
    const { resend, lost } = this.#input.attached(controlTerm);
    if (lost > 0) this.#options.onInputLost?.('not_controller');
    for (const input of resend) this.#sendInput(input);
  }

  #onError(frame: FrameOf<ControlToViewerFrame, 'error'>): void {
    if (FATAL_CODES.has(frame.code)) this.#fail(new CliError(frame.code, frame.message, frame.requestId));
    else if (frame.code === 'throttled' || frame.code === 'unavailable') this.#retry(() => this.#attach());
  }
}
