/** The real line of a viewer: a one-use ticket over HTTP, and the WebSocket that redeems it. */
import { WebSocket } from 'ws';
import { Ticket } from '../../shared/http.ts';
import { FRAME_MAX_BYTES, VIEWER_DIAL_DEADLINE_MS } from '../../shared/limits.ts';
import type { SocketLike } from '../../shared/viewer/viewer-socket.ts';
import type { ApiClient } from '../api-client.ts';
import type { ViewerLine } from './viewer-client.ts';

const dial = (url: string, protocols: string[]): SocketLike => {
  const socket = new WebSocket(url, protocols, {
    handshakeTimeout: VIEWER_DIAL_DEADLINE_MS,
    maxPayload: 4 * FRAME_MAX_BYTES,
    perMessageDeflate: false,
  });
  const line: SocketLike = {
    onopen: null,
    onmessage: null,
    onclose: null,
    send: (text) => socket.send(text),
    close: (code) => socket.close(code),
  };
  let why = '';
  // `close` follows every error.
  socket.on('error', ({ message }) => {
    why = message;
  });
  socket.on('open', () => line.onopen?.());
  socket.on('message', (data, isBinary) => line.onmessage?.({ data: isBinary ? data : data.toString() }));
  socket.once('close', (code, reason) => line.onclose?.({ code, reason: reason.toString() || why }));
  return line;
};

export const viewerLine = (api: ApiClient): ViewerLine => ({
  ticket: async () => (await api.post('/api/tickets', {}, Ticket)).ticket,
  dial: (protocols) => dial(`${api.endpoint.url.replace(/^http/, 'ws')}/ws/viewer`, protocols),
});
