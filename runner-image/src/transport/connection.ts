/** The runner's line to the control plane: dials, says hello until it is welcome and settled, and dials again when cut. */
import type { Clock, Random } from '../../../shared/clock.ts';
import { ControlToRunnerFrame, type FrameOf, PROTOCOL_VERSION, type RunnerFrame } from '../../../shared/frames.ts';
import {
  FRAME_MAX_BYTES,
  LINE_QUIET_MAX_MS,
  PING_INTERVAL_MS,
  RECONNECT_BASE_MS,
  RECONNECT_MAX_MS,
  REDIAL_AFTER_MS,
  REDIAL_JITTER_MS,
} from '../../../shared/limits.ts';
import type { Log } from '../log.ts';
import { fullJitterMs } from './back-off.ts';
import type { DialStore, DialTicket } from './dial-store.ts';
import { isDiskFull } from './disk.ts';
import type { OpenSocket, RunnerSocket } from './socket.ts';

export type HelloBody = Omit<FrameOf<RunnerFrame, 'hello'>, 'type' | 'protocol' | 'dial'>;
export type SendResult = 'sent' | 'not_connected';

export interface ConnectionOptions {
  readonly openSocket: OpenSocket;
  readonly dialStore: DialStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Asked for each hello; `dial` names the line that it is said on. */
  readonly hello: (dial: number) => HelloBody;
  /** Hello is repeated until this is true: `assign` is a post and may be lost, and so is any welcome. */
  readonly isSettled: () => boolean;
  readonly onFrame: (frame: ControlToRunnerFrame) => void;
  /** Welcome arrived on a new connection; its frame follows to `onFrame`. */
  readonly onUp: (dial: number) => void;
  readonly onDown: (why: string) => void;
  /** The credential is not accepted any more: the session has ended elsewhere. */
  readonly onRefused: (status: number) => void;
}

const HELLO_REPEAT_MS = { base: 2_000, max: 15_000 };

interface Line {
  readonly dial: number;
  socket: RunnerSocket | null;
  isOpen: boolean;
  isWelcome: boolean;
  hellos: number;
  cancelHello: () => void;
  lastHeardMs: number;
  readonly cancels: Set<() => void>;
}

export class Connection {
  readonly #options: ConnectionOptions;
  #active: Line | null = null;
  /** Dialled, not welcome yet; the active one serves until then. */
  #coming: Line | null = null;
  #failures = 0;
  #isClosed = false;
  #cancelDial: () => void = () => {};

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#active !== null;
  }

  start(): void {
    this.#dial();
  }

  /** Sends a frame that was serialised before. Throws on one over FRAME_MAX_BYTES: the gateway would cut the line for it. */
  send(frame: string, onSent: () => void = () => {}): SendResult {
    // UTF-8 takes at most three bytes for each UTF-16 unit: most frames need no counting.
    if (frame.length * 3 > FRAME_MAX_BYTES && Buffer.byteLength(frame) > FRAME_MAX_BYTES)
      throw new Error(`a frame of ${Buffer.byteLength(frame)} bytes: ${frame.slice(0, 60)}`);
    if (this.#active?.socket == null) return 'not_connected';
    this.#active.socket.send(frame, onSent);
    return 'sent';
  }

  /** There is news for `hello`: it is said now, and again until settled. */
  helloAgain(): void {
    const line = this.#active;
    if (!line || this.#isClosed) return;
    line.hellos = 0;
    this.#sayHello(line, true);
  }

  /** Ends both lines for good. */
  close(): void {
    this.#isClosed = true;
    this.#cancelDial();
    for (const line of [this.#active, this.#coming]) {
      if (!line) continue;
      this.#stopTimers(line);
      line.socket?.close();
    }
    this.#active = null;
    this.#coming = null;
  }

  #dial(): void {
    const { dialStore, openSocket, clock } = this.#options;
    this.#coming?.socket?.terminate();
    let ticket: DialTicket;
    try {
      ticket = dialStore.begin();
    } catch (error) {
      // A credential that is not written down must not be offered: it would lock us out.
      if (!isDiskFull(error)) throw error;
      this.#options.log.warn('the disk is full, so nothing can be dialled', {});
      this.#dialAgain();
      return;
    }
    const line: Line = {
      dial: ticket.dial,
      socket: null,
      isOpen: false,
      isWelcome: false,
      hellos: 0,
      cancelHello: () => {},
      lastHeardMs: clock.monotonicMs(),
      cancels: new Set(),
    };
    this.#coming = line;
    line.socket = openSocket(ticket, {
      onOpen: () => this.#onOpen(line),
      onText: (text) => this.#onText(line, text),
      onClosed: (why) => this.#onClosed(line, why),
    });
  }

  #onOpen(line: Line): void {
    this.#options.dialStore.succeeded(line.dial);
    line.isOpen = true;
    line.lastHeardMs = this.#options.clock.monotonicMs();
    this.#sayHello(line);
    this.#watch(line);
  }

  #sayHello(line: Line, isNews = false): void {
    const { isSettled, hello, random } = this.#options;
    if (this.#isClosed || !line.isOpen || (line.isWelcome && !isNews && isSettled())) return;
    line.cancelHello();
    const body = hello(line.dial);
    line.socket?.send(
      JSON.stringify({ type: 'hello', ...body, dial: line.dial, protocol: PROTOCOL_VERSION } satisfies RunnerFrame),
      () => {},
    );
    const pauseMs = HELLO_REPEAT_MS.base + fullJitterMs(line.hellos, HELLO_REPEAT_MS.base, HELLO_REPEAT_MS.max, random);
    line.hellos += 1;
    line.cancelHello = this.#later(line, pauseMs, () => this.#sayHello(line));
  }

  #watch(line: Line): void {
    this.#later(line, LINE_QUIET_MAX_MS / 3, () => {
      if (this.#options.clock.monotonicMs() - line.lastHeardMs > LINE_QUIET_MAX_MS) line.socket?.terminate();
      else this.#watch(line);
    });
  }

  #ping(line: Line): void {
    this.#later(line, PING_INTERVAL_MS, () => {
      const ping: RunnerFrame = { type: 'ping', ts: this.#options.clock.nowMs() };
      line.socket?.send(JSON.stringify(ping), () => {});
      this.#ping(line);
    });
  }

  #onText(line: Line, text: string): void {
    const { clock, log, onFrame } = this.#options;
    line.lastHeardMs = clock.monotonicMs();
    const parsed = parseFrame(text);
    if (parsed.kind === 'gateway_error') {
      log.warn('the gateway answered with an error; what was sent is sent again', { answer: text.slice(0, 300) });
    } else if (parsed.kind === 'unknown') {
      log.warn('a frame was not understood', { issue: parsed.issue });
    } else {
      if (parsed.frame.type === 'welcome') this.#onWelcome(line, parsed.frame.dial);
      onFrame(parsed.frame);
    }
  }

  #onWelcome(line: Line, dial: number): void {
    if (dial !== line.dial || line.isWelcome) return;
    line.isWelcome = true;
    this.#failures = 0;
    const before = this.#active;
    this.#active = line;
    this.#coming = null;
    if (before) {
      this.#stopTimers(before);
      before.socket?.close();
    }
    this.#ping(line);
    const redialMs = REDIAL_AFTER_MS + fullJitterMs(0, REDIAL_JITTER_MS, REDIAL_JITTER_MS, this.#options.random);
    this.#later(line, redialMs, () => this.#dial());
    this.#options.onUp(dial);
  }

  #onClosed(line: Line, why: { status: number | null; message: string }): void {
    this.#stopTimers(line);
    line.isOpen = false;
    if (this.#isClosed || (line !== this.#active && line !== this.#coming)) return;
    const wasActive = line === this.#active;
    if (wasActive) this.#active = null;
    else this.#coming = null;
    if (why.status === 401 || why.status === 403) {
      this.#isClosed = true;
      this.#options.onRefused(why.status);
      return;
    }
    this.#options.log.warn('the connection ended', { dial: line.dial, why: why.message });
    if (wasActive) this.#options.onDown(why.message);
    // A planned re-dial that is under way is the reconnect.
    if (this.#coming === null) this.#dialAgain();
  }

  #dialAgain(): void {
    const pauseMs = fullJitterMs(this.#failures, RECONNECT_BASE_MS, RECONNECT_MAX_MS, this.#options.random);
    this.#failures += 1;
    this.#cancelDial();
    this.#cancelDial = this.#options.clock.after(pauseMs, () => this.#dial());
  }

  #later(line: Line, delayMs: number, run: () => void): () => void {
    const cancel = this.#options.clock.after(delayMs, () => {
      line.cancels.delete(cancel);
      run();
    });
    line.cancels.add(cancel);
    return () => {
      line.cancels.delete(cancel);
      cancel();
    };
  }

  #stopTimers(line: Line): void {
    for (const cancel of line.cancels) cancel();
    line.cancels.clear();
  }
}

type ParsedFrame =
  | { readonly kind: 'frame'; readonly frame: ControlToRunnerFrame }
  | { readonly kind: 'gateway_error' }
  | { readonly kind: 'unknown'; readonly issue: string };

/** Reads one message; the gateway's own errors carry no `type`. */
export const parseFrame = (text: string): ParsedFrame => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { kind: 'unknown', issue: 'not JSON' };
  }
  const parsed = ControlToRunnerFrame.safeParse(json);
  if (parsed.success) return { kind: 'frame', frame: parsed.data };
  if (typeof json === 'object' && json !== null && !('type' in json)) return { kind: 'gateway_error' };
  const issue = parsed.error.issues[0];
  return { kind: 'unknown', issue: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'does not fit'}` };
};
