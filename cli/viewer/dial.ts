/** The real connection of a viewer: a one-use ticket over HTTP, then the WebSocket that redeems it. */
import { WebSocket } from 'ws';
import { TICKET_SUBPROTOCOL_PREFIX, VIEWER_SUBPROTOCOL } from '../../shared/frames.ts';
import { Ticket } from '../../shared/http.ts';
import { FRAME_MAX_BYTES } from '../../shared/limits.ts';
import type { ApiClient } from '../api-client.ts';
import type { DialViewer } from './viewer-client.ts';

const HANDSHAKE_TIMEOUT_MS = 15_000;

export const dialViewer =
  (api: ApiClient): DialViewer =>
  async (handlers) => {
    const { ticket } = await api.post('/api/tickets', {}, Ticket);
    const url = `${api.endpoint.url.replace(/^http/, 'ws')}/ws/viewer`;
    const socket = new WebSocket(url, [VIEWER_SUBPROTOCOL, `${TICKET_SUBPROTOCOL_PREFIX}${ticket}`], {
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: 4 * FRAME_MAX_BYTES,
      perMessageDeflate: false,
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    // `close` follows every error, and tells what the caller needs.
    socket.on('error', () => {});
    socket.on('message', (data, isBinary) => {
      if (!isBinary) handlers.onMessage(data.toString());
    });
    socket.once('close', (code, reason) => handlers.onClose(reason.toString() || `closed with ${code}`));
    handlers.onOpen();
    return {
      send: (text) => {
        if (socket.readyState === WebSocket.OPEN) socket.send(text);
      },
      close: () => socket.close(),
    };
  };
