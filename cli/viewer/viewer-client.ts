/** One session's stream for a command: comes back by itself like the page, but ends where trying again is of no use. */
import { type Clock, type Random, systemClock, systemRandom } from '../../shared/clock.ts';
import type { ControlToViewerFrame, FrameOf } from '../../shared/frames.ts';
import type { StreamAddress, TerminalSize } from '../../shared/session.ts';
import { SessionStream } from '../../shared/viewer/session-stream.ts';
import type { TerminalSink } from '../../shared/viewer/stream-terminal.ts';
import type { StreamView } from '../../shared/viewer/stream-view.ts';
import type { SocketLike, TicketResult } from '../../shared/viewer/viewer-socket.ts';
import { CliError } from '../cli-error.ts';

export type Attached = FrameOf<ControlToViewerFrame, 'attached'>;
export type StateChange = FrameOf<ControlToViewerFrame, 'session_state_changed'>;

export interface ViewerLine {
  /** Rejects with CliError. */
  readonly ticket: () => Promise<string>;
  readonly dial: (protocols: string[]) => SocketLike;
}

export interface ViewerClientOptions {
  readonly line: ViewerLine;
  readonly sessionId: string;
  readonly mode: 'control' | 'watch';
  readonly takeOver?: boolean;
  readonly size: TerminalSize;
  /** What `terminal` shows already; without it the stream begins with a snapshot. */
  readonly from?: StreamAddress | undefined;
  readonly terminal: TerminalSink;
  readonly onAttached?: (frame: Attached) => void;
  readonly onStateChange?: (frame: StateChange) => void;
  /** Keys that did not reach the program. */
  readonly onInputLost?: (reason: string) => void;
  /** Who is here, who leads, what is asked; told again when it changes. */
  readonly onSeat?: (view: StreamView) => void;
  readonly onConnection?: (state: 'connected' | 'reconnecting', why?: string) => void;
  readonly clock?: Clock;
  readonly random?: Random;
}

const VIEWER_ID_BYTES = 12;
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
  readonly #stream: SessionStream;
  readonly #finished = Promise.withResolvers<void>();
  #socket: StreamView['socket'] | undefined;
  #isClosed = false;

  constructor(options: ViewerClientOptions) {
    const { clock = systemClock, random = systemRandom, sessionId, mode, takeOver = false, size } = options;
    this.#options = options;
    this.viewerId = `cli-${random.hex(VIEWER_ID_BYTES)}`;
    this.done = this.#finished.promise;
    this.done.catch(() => {}); // Whoever awaits it hears of it; nobody has to.
    this.#stream = new SessionStream(
      { sessionId, viewerId: this.viewerId, mode, takeOver, device: 'command line', size, from: undefined },
      {
        clock,
        random,
        ticket: () => this.#ticket(),
        dial: options.line.dial,
        terminal: options.terminal,
        onView: (view) => {
          this.#sawSocket(view.socket);
          options.onSeat?.(view);
        },
        onAttached: (frame) => {
          options.onConnection?.('connected');
          options.onAttached?.(frame);
        },
        onStateChange: (frame) => options.onStateChange?.(frame),
        onEvent: () => {}, // Events are read from the log, where none is missing.
        onInputLoss: ({ reason }) => options.onInputLost?.(reason),
        onError: ({ code, message, requestId }) => {
          if (FATAL_CODES.has(code)) this.#fail(new CliError(code, message, requestId));
        },
        onNotLive: () => {}, // A command that wants what is stored has played it already.
      },
    );
    if (options.from !== undefined) this.#stream.replayed(options.from);
    this.#stream.start();
  }

  get position(): StreamAddress | undefined {
    return this.#stream.address;
  }
  /** Whether the runner was heard since the last attach and nothing it told us of is missing. */
  get isCaughtUp(): boolean {
    return this.#stream.caughtUp;
  }

  /** What cannot be delivered is told to `onInputLost`. */
  input(data: string): void {
    this.#stream.type(data);
  }

  /** Asks whoever has the keyboard for it, or takes what nobody has. */
  askControl(): void {
    this.#stream.askControl();
  }
  takeControl(): void {
    this.#stream.takeControl();
  }
  answerControl(allow: boolean): void {
    this.#stream.answerControl(allow);
  }

  resize(size: TerminalSize): void {
    this.#stream.resize(size);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stream.stop();
    this.#finished.resolve();
  }

  #fail(error: Error): void {
    this.#finished.reject(error);
    this.close();
  }

  async #ticket(): Promise<TicketResult> {
    try {
      return { kind: 'ticket', ticket: await this.#options.line.ticket() };
    } catch (error) {
      if (error instanceof CliError && FATAL_CODES.has(error.code)) {
        this.#fail(error);
        return { kind: 'signed_out' };
      }
      // The village may be restarting: the stream waits and tries again, visibly.
      return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
  }

  #sawSocket(socket: StreamView['socket']): void {
    if (socket === this.#socket) return;
    this.#socket = socket;
    if (socket.kind === 'waiting') this.#options.onConnection?.('reconnecting', socket.why);
  }
}
