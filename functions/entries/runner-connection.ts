/** A runner's connection begins and ends. The pointer to it is set by hello, never here: nothing may be posted before `$connect` returns. */
import { platform } from '../aws/platform.ts';
import { runnerOf } from '../middleware/connections.ts';
import { connectionEntry } from '../middleware/websocket.ts';
import { runnerDisconnected } from '../runners/runner-disconnected.ts';

export const handler = connectionEntry({
  connected: async (event) => {
    runnerOf(event);
    return {};
  },
  disconnected: (event) => runnerDisconnected(platform(), runnerOf(event)),
});
