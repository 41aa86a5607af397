/** A runner's connection begins and ends. The pointer to it is set by hello, never here: nothing may be posted before `$connect` returns. */
import { platform } from '../aws/platform.ts';
import { runnerOf } from '../middleware/connections.ts';
import { connectionEntry } from '../middleware/websocket.ts';

export const handler = connectionEntry({
  connected: async (event) => {
    runnerOf(event);
    return {};
  },
  disconnected: async (event) => {
    const { connectionId, tenantId, sessionId } = runnerOf(event);
    const { runners, runnerStore } = platform();
    await Promise.all([
      runners.clear({ tenantId, sessionId }, connectionId),
      runnerStore.disconnected(tenantId, sessionId, connectionId),
    ]);
  },
});
