/** One WebSocket as the connection needs it; `ws` behind a port, so that dialling rules are tested without a network. */
import { WebSocket } from 'ws';
import { NEXT_CREDENTIAL_HEADER } from '../../../shared/frames.ts';
import { LINE_MESSAGE_MAX_BYTES } from '../../../shared/limits.ts';
import type { DialTicket } from './dial-store.ts';

export interface RunnerSocket {
  /** `onSent` is called once, when the text is with the kernel or cannot get there any more. */
  send(text: string, onSent: () => void): void;
  close(): void;
  terminate(): void;
}

export interface SocketEvents {
  onOpen(): void;
  onText(text: string): void;
  /** Once, also when it never opened; `status` is that of a refused upgrade. */
  onClosed(why: { readonly status: number | null; readonly message: string }): void;
}

export type OpenSocket = (ticket: DialTicket, events: SocketEvents) => RunnerSocket;

const HANDSHAKE_TIMEOUT_MS = 20_000;

/** Dials `url` with the ticket's credential. */
export const wsSocket =
  (url: string): OpenSocket =>
  (ticket, events) => {
    const socket = new WebSocket(url, {
      headers: { authorization: `Bearer ${ticket.credential}`, [NEXT_CREDENTIAL_HEADER]: ticket.nextCredentialSha256 },
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: LINE_MESSAGE_MAX_BYTES,
      perMessageDeflate: false,
    });
    let status: number | null = null;
    let message = '';
    socket.on('open', () => events.onOpen());
    socket.on('message', (data, isBinary) => {
      if (!isBinary) events.onText(String(data));
    });
    socket.on('unexpected-response', (request, response) => {
      status = response.statusCode ?? null;
      message = `refused with ${status}`;
      request.destroy();
      socket.terminate();
    });
    // `close` follows every error.
    socket.on('error', (error) => {
      message ||= error.message;
    });
    socket.on('close', (code) => events.onClosed({ status, message: message || `closed with ${code}` }));
    return {
      send: (text, onSent) => socket.send(text, () => onSent()),
      close: () => socket.close(1000),
      terminate: () => socket.terminate(),
    };
  };
