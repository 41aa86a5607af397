/** A viewer's connection begins and ends. */
import { VIEWER_SUBPROTOCOL } from '../../shared/frames.ts';
import { platform } from '../aws/platform.ts';
import { viewerOf } from '../middleware/connections.ts';
import { connectionEntry } from '../middleware/websocket.ts';
import { viewerDisconnected } from '../streams/handle-viewer-frame.ts';

export const handler = connectionEntry({
  connected: async (event) => {
    viewerOf(event);
    return { protocol: VIEWER_SUBPROTOCOL };
  },
  disconnected: (event) => viewerDisconnected(platform(), viewerOf(event)),
});
