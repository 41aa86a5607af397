/** One WebSocket to the control plane that comes back by itself: ticket, dial, ping, full-jitter reconnect, visible state. */
import type { Clock, Random } from '../clock.ts';
import type { ViewerFrame } from '../frames.ts';
import { ControlToViewerFrame, TICKET_SUBPROTOCOL_PREFIX, VIEWER_SUBPROTOCOL } from '../frames.ts';
import {
  PING_INTERVAL_MS,
  VIEWER_DIAL_DEADLINE_MS,
  VIEWER_DOUBT_MS,
  VIEWER_PROBE_DEADLINE_MS,
  VIEWER_QUIET_MS,
  VIEWER_STABLE_MS,
} from '../limits.ts';
import { fullJitterMs } from './backoff.ts';

/** The part of a WebSocket used here: the browser's own, and that of `ws`. */
export interface SocketLike {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export type TicketResult =
  | { readonly kind: 'ticket'; readonly ticket: string }
  | { readonly kind: 'signed_out' }
  | { readonly kind: 'failed'; readonly message: string };

export type SocketState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly attempt: number }
  /** `doubtful`: it looks open, but does not answer. */
  | { readonly kind: 'open'; readonly doubtful: boolean }
  | { readonly kind: 'waiting'; readonly attempt: number; readonly retryAtMs: number; readonly why: string }
  | { readonly kind: 'signed_out' };

export interface ViewerSocketPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly ticket: () => Promise<TicketResult>;
  readonly dial: (protocols: string[]) => SocketLike;
  readonly onOpen: () => void;
  readonly onFrame: (frame: ControlToViewerFrame) => void;
  readonly onState: (state: SocketState) => void;
  /** A frame we could not read, or a gateway error (which carries no `type`): told, never fatal. */
  readonly onProblem: (problem: Problem) => void;
  readonly pingTargets: () => { sessionId: string; viewerId: string }[];
}

type Problem = { kind: 'unreadable' | 'gateway'; message: string };

/** One bad frame must not cut a good line: what cannot be read is told, and the next frame counts. */
const readFrame = (data: unknown): { kind: 'frame'; frame: ControlToViewerFrame } | Problem => {
  if (typeof data !== 'string') return { kind: 'unreadable', message: 'binary frame' };
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    // Becomes a problem that the caller shows.
    return { kind: 'unreadable', message: 'not JSON' };
  }
  if (typeof json === 'object' && json !== null && !('type' in json)) {
    return { kind: 'gateway', message: data.slice(0, 300) };
  }
  const parsed = ControlToViewerFrame.safeParse(json);
  if (parsed.success) return { kind: 'frame', frame: parsed.data };
  const issue = parsed.error.issues[0];
  return { kind: 'unreadable', message: `${issue?.path.join('.')}: ${issue?.message}` };
};

type TimerName = 'retry' | 'ping' | 'pong' | 'again' | 'doubt' | 'dial' | 'stable';

export class ViewerSocket {
  readonly #ports: ViewerSocketPorts;
  #socket: SocketLike | null = null;
  #state: SocketState = { kind: 'idle' };
  #attempt = 0;
  /** Counts dials, so that what an old dial answers is recognised and ignored. */
  #dial = 0;
  #heardAtMs = 0;
  #timers = new Map<TimerName, () => void>();

  constructor(ports: ViewerSocketPorts) {
    this.#ports = ports;
  }

  get state(): SocketState {
    return this.#state;
  }

  start(): void {
    if (this.#state.kind === 'idle' || this.#state.kind === 'signed_out') void this.#connect();
  }

  /** Ends for good; `start` may be called again. */
  stop(): void {
    this.#dial += 1;
    this.#dropSocket();
    this.#setState({ kind: 'idle' });
  }

  /** The network or the page is back: do not wait for a timer or an old dial, and test a line that looks open. */
  wake(): void {
    if (this.#state.kind === 'waiting' || this.#state.kind === 'connecting') void this.#connect();
    else this.probe();
  }

  /** Asks whether the other side is there; no answer shows as doubt, then counts as a cut. `atOnce`: the doubt is there already. */
  probe(atOnce = false): void {
    if (this.#state.kind !== 'open') return;
    if (atOnce) this.#doubt();
    if (this.#timers.has('pong')) return;
    this.#ping();
    this.#after('again', VIEWER_PROBE_DEADLINE_MS / 2, () => this.#ping());
    if (!atOnce) this.#after('doubt', VIEWER_DOUBT_MS, () => this.#doubt());
    this.#after('pong', VIEWER_PROBE_DEADLINE_MS, () => this.#retry('no answer'));
  }

  /** A person does something: on a line that was silent for long that is the time to ask. */
  attend(): void {
    if (this.#ports.clock.monotonicMs() - this.#heardAtMs >= VIEWER_QUIET_MS) this.probe();
  }

  /** How long ago the last frame came, on an open line. */
  get silentMs(): number {
    return this.#ports.clock.monotonicMs() - this.#heardAtMs;
  }

  /** False when not connected: the caller keeps what must not be lost. */
  send(frame: ViewerFrame): boolean {
    if (this.#state.kind !== 'open' || this.#socket === null) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  async #connect(): Promise<void> {
    this.#dropSocket();
    this.#dial += 1;
    const dial = this.#dial;
    this.#setState({ kind: 'connecting', attempt: this.#attempt });
    this.#after('dial', VIEWER_DIAL_DEADLINE_MS, () => this.#retry('no answer'));
    const result = await this.#ports.ticket();
    if (dial !== this.#dial) return;
    if (result.kind === 'signed_out') {
      this.#dropSocket();
      this.#setState({ kind: 'signed_out' });
    } else if (result.kind === 'failed') this.#retry(result.message);
    else this.#open(dial, result.ticket);
  }

  #open(dial: number, ticket: string): void {
    const socket = this.#ports.dial([VIEWER_SUBPROTOCOL, `${TICKET_SUBPROTOCOL_PREFIX}${ticket}`]);
    this.#socket = socket;
    const current = () => dial === this.#dial && socket === this.#socket;
    socket.onopen = () => {
      if (!current()) return;
      this.#cancel('dial');
      this.#after('stable', VIEWER_STABLE_MS, () => {
        this.#attempt = 0;
      });
      this.#heardAtMs = this.#ports.clock.monotonicMs();
      this.#setState({ kind: 'open', doubtful: false });
      this.#schedulePing();
      this.#ports.onOpen();
    };
    socket.onmessage = (event) => {
      if (current()) this.#receive(event.data);
    };
    socket.onclose = (event) => {
      if (current()) this.#retry(event.reason === '' ? `closed (${event.code})` : event.reason);
    };
  }

  #receive(data: unknown): void {
    this.#heard();
    const read = readFrame(data);
    if (read.kind !== 'frame') {
      this.#ports.onProblem(read);
      return;
    }
    this.#ports.onFrame(read.frame);
  }

  /** Whatever comes shows that the line lives. */
  #heard(): void {
    this.#heardAtMs = this.#ports.clock.monotonicMs();
    for (const name of ['pong', 'again', 'doubt'] as const) this.#cancel(name);
    if (this.#state.kind === 'open' && this.#state.doubtful) this.#setState({ kind: 'open', doubtful: false });
  }

  #doubt(): void {
    if (this.#state.kind === 'open' && !this.#state.doubtful) this.#setState({ kind: 'open', doubtful: true });
  }

  #schedulePing(): void {
    this.#after('ping', PING_INTERVAL_MS, () => {
      this.probe();
      this.#schedulePing();
    });
  }

  #ping(): void {
    this.send({ type: 'ping', ts: this.#ports.clock.nowMs(), attached: this.#ports.pingTargets() });
  }

  #retry(why: string): void {
    this.#dial += 1;
    this.#dropSocket();
    const waitMs = fullJitterMs(this.#attempt, this.#ports.random);
    this.#attempt += 1;
    this.#setState({ kind: 'waiting', attempt: this.#attempt, retryAtMs: this.#ports.clock.nowMs() + waitMs, why });
    this.#after('retry', waitMs, () => void this.#connect());
  }

  #dropSocket(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  #after(name: TimerName, delayMs: number, run: () => void): void {
    this.#cancel(name);
    this.#timers.set(name, this.#ports.clock.after(delayMs, run));
  }

  #cancel(name: TimerName): void {
    this.#timers.get(name)?.();
    this.#timers.delete(name);
  }

  #setState(state: SocketState): void {
    this.#state = state;
    this.#ports.onState(state);
  }
}
