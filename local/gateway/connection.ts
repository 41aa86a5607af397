/** One open WebSocket: its limits in size and time, how much of it is in flight, and how it ended. */
import type { Duplex } from 'node:stream';
import type { RawData, WebSocket } from 'ws';
import type { Clock } from '../../shared/clock.ts';
import { FrameMeter } from './frame-meter.ts';
import type { GatewayQuotas } from './quotas.ts';

export interface ConnectionInfo {
  readonly id: string;
  readonly connectedAtMs: number;
  readonly sourceIp: string;
  readonly userAgent: string | undefined;
  /** Context of the authorizer with principalId, all values as strings; empty where the API has none. */
  readonly authorizer: Readonly<Record<string, string>>;
}

export interface ConnectionPorts {
  readonly clock: Clock;
  readonly quotas: GatewayQuotas;
  /** Handles one text message; never rejects. */
  readonly onMessage: (connection: Connection, text: string) => Promise<void>;
  /** Called once, when the socket is gone. */
  readonly onClosed: (connection: Connection, code: number, reason: string) => void;
}

/** disconnectReason where the client gave none (not documented, seen by others). */
const REASONS: Readonly<Record<number, string>> = {
  1000: 'Connection Closed Normally',
  1001: 'Going away',
  1005: 'Client-side close frame status not set',
};
const ABNORMAL = 1006;
const TOO_LARGE = 1009;

export type SendResult = 'sent' | 'gone' | 'buffer_full';

export class Connection {
  readonly info: ConnectionInfo;
  /** Resolves when the socket is gone. */
  readonly gone: Promise<void>;
  #markGone: () => void = () => {};
  readonly #ws: WebSocket;
  readonly #ports: ConnectionPorts;
  /** Messages that arrived in one chunk with the one that filled the cap; the paused socket lets no more in. */
  readonly #backlog: string[] = [];
  #inFlight = 0;
  #heldBytes = 0;
  #lastActiveMs: number;
  #closing: { code: number; reason: string } | null = null;
  #cancelIdle: () => void = () => {};
  readonly #cancelAge: () => void;

  constructor(info: ConnectionInfo, ws: WebSocket, ports: ConnectionPorts) {
    this.info = info;
    this.gone = new Promise((resolve) => {
      this.#markGone = resolve;
    });
    this.#ws = ws;
    this.#ports = ports;
    this.#lastActiveMs = ports.clock.nowMs();
    this.#cancelAge = ports.clock.after(ports.quotas.connectionMaxMs, () => this.close(1001, 'Going away'));
    this.#watchIdle(ports.quotas.idleMs);
    ws.on('message', (data, isBinary) => this.#receive(data, isBinary));
    ws.on('close', (code, reason) => this.#closed(code, reason.toString('utf8')));
    ws.on('error', (error) => {
      // ws closes by itself; only the reason has to be kept, as it reports 1006 for a close of its own.
      if ('code' in error && error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH')
        this.#closing ??= { code: TOO_LARGE, reason: 'Message too long' };
    });
  }

  /** Must see the socket's bytes before ws does: call between upgrade and hand-over, with the connection to come. */
  static meterFrames(socket: Duplex, quotas: GatewayQuotas, connection: () => Connection | null): void {
    const meter = new FrameMeter(quotas.frameMaxBytes);
    const onData = (chunk: Buffer) => {
      if (!meter.exceeds(chunk)) return;
      socket.off('data', onData);
      connection()?.close(TOO_LARGE, 'Frame too long');
    };
    socket.on('data', onData);
    socket.on('drain', () => connection()?.drained());
  }

  get lastActiveMs(): number {
    return this.#lastActiveMs;
  }

  get isOpen(): boolean {
    return this.#closing === null && this.#ws.readyState === this.#ws.OPEN;
  }

  /** Sends one text message, cut into frames of the allowed size. A client that does not read gets `buffer_full`. */
  send(data: Buffer): SendResult {
    if (!this.isOpen) return 'gone';
    const { sendBufferMaxBytes, frameMaxBytes } = this.#ports.quotas;
    if (this.#ws.bufferedAmount + this.#heldBytes + data.length > sendBufferMaxBytes) return 'buffer_full';
    this.#touch();
    for (let at = 0; at === 0 || at < data.length; at += frameMaxBytes) {
      const fin = at + frameMaxBytes >= data.length;
      this.#ws.send(fin && at === 0 ? data : data.subarray(at, at + frameMaxBytes), { binary: false, fin });
    }
    return 'sent';
  }

  /** Sends after `delayMs`, so that later messages overtake; what waits counts as buffered. */
  sendLater(data: Buffer, delayMs: number): SendResult {
    if (!this.isOpen) return 'gone';
    if (this.#ws.bufferedAmount + this.#heldBytes + data.length > this.#ports.quotas.sendBufferMaxBytes)
      return 'buffer_full';
    this.#heldBytes += data.length;
    this.#ports.clock.after(delayMs, () => {
      this.#heldBytes -= data.length;
      this.send(data);
    });
    return 'sent';
  }

  close(code: number, reason: string): void {
    if (this.#closing !== null) return;
    this.#closing = { code, reason };
    this.#backlog.length = 0;
    // A paused socket would never show the client's answer to the close.
    this.#ws.resume();
    this.#ws.close(code, reason);
  }

  /** Breaks the socket without a close frame. */
  cut(): void {
    this.#ws.terminate();
  }

  drained(): void {
    this.#pump();
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#closing !== null) return;
    if (isBinary) this.close(1003, 'Binary is not supported');
    else {
      this.#touch();
      this.#backlog.push(data.toString());
      this.#pump();
    }
  }

  #pump(): void {
    const { messagesInFlightMax, sendBufferMaxBytes } = this.#ports.quotas;
    while (this.#inFlight < messagesInFlightMax && this.#ws.bufferedAmount <= sendBufferMaxBytes / 2) {
      const text = this.#backlog.shift();
      if (text === undefined) break;
      this.#inFlight += 1;
      void this.#ports.onMessage(this, text).finally(() => {
        this.#inFlight -= 1;
        this.#pump();
      });
    }
    if (this.#closing !== null) return;
    const full = this.#backlog.length > 0 || this.#inFlight >= messagesInFlightMax;
    if (full && !this.#ws.isPaused) this.#ws.pause();
    if (!full && this.#ws.isPaused) this.#ws.resume();
  }

  #touch(): void {
    this.#lastActiveMs = this.#ports.clock.nowMs();
  }

  /** One timer per connection that looks when the idle time could be over, instead of one per message. */
  #watchIdle(inMs: number): void {
    this.#cancelIdle = this.#ports.clock.after(inMs, () => {
      const idleMs = this.#ports.clock.nowMs() - this.#lastActiveMs;
      if (idleMs >= this.#ports.quotas.idleMs) this.close(1001, 'Going away');
      else this.#watchIdle(this.#ports.quotas.idleMs - idleMs);
    });
  }

  #closed(code: number, reason: string): void {
    this.#cancelIdle();
    this.#cancelAge();
    this.#backlog.length = 0;
    const own = this.#closing;
    this.#closing ??= { code, reason };
    const finalCode = own?.code ?? code;
    const fallback = REASONS[finalCode] ?? (finalCode === ABNORMAL ? 'Connection Closed Abnormally' : '');
    this.#ports.onClosed(this, finalCode, (own?.reason ?? reason) || fallback);
    this.#markGone();
  }
}
