/** A runner's connection has ended: nothing is posted to it any more, and it gets no session until it is back. */
import type { Clock } from '../../shared/clock.ts';
import type { Database } from '../database.ts';
import type { RunnerLine } from '../streams/runner-line.ts';
import { hostDisconnected } from './connect-host.ts';
import { warmDisconnected } from './greet-warm.ts';
import type { RunnerConnection } from './handle-runner-frame.ts';
import type { RunnerStore } from './runner-store.ts';

export interface DisconnectPorts {
  readonly db: Database;
  readonly clock: Clock;
  readonly runners: RunnerLine;
  readonly runnerStore: RunnerStore;
}

export const runnerDisconnected = async (ports: DisconnectPorts, who: RunnerConnection): Promise<void> => {
  switch (who.kind) {
    case 'group':
      return hostDisconnected(ports, who);
    case 'warm':
      return warmDisconnected(ports, who);
    default: {
      const { connectionId, tenantId, sessionId } = who;
      await Promise.all([
        ports.runners.clear({ tenantId, sessionId }, connectionId),
        ports.runnerStore.disconnected(tenantId, sessionId, connectionId),
      ]);
    }
  }
};
