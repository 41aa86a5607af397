/** What a runner says of itself: to the control plane in `hello`, and at its health address. */
import type { RunnerConfig } from '../config.ts';
import type { HealthState } from '../health/health-server.ts';
import { knownClis } from '../session/known-clis.ts';
import type { RuntimePorts } from '../session/ports.ts';
import type { HelloBody } from '../transport/connection.ts';
import type { Held } from './held-sessions.ts';

export const countsOf = ({ runtime }: Held) => ({
  batchesAcked: runtime.core.events.batchesAcked,
  terminalBytes: runtime.agent.headOffset,
});

export const helloOf = (
  config: RunnerConfig,
  { isolation }: Pick<RuntimePorts, 'isolation'>,
  now: Pick<HelloBody, 'draining' | 'sessions' | 'firstDial'>,
): HelloBody => ({
  ...now,
  runnerId: config.RUNNER_ID,
  runnerVersion: config.RUNNER_VERSION,
  buildId: config.VILLAGE_BUILD_ID,
  clis: knownClis(config),
  isolation,
  capacity: config.MAX_CONCURRENT_SESSIONS,
});

export const healthOf = (
  config: RunnerConfig,
  sessions: { readonly all: readonly Held[]; readonly live: number },
  now: Pick<HealthState, 'isConnected' | 'isDraining' | 'counters'>,
): HealthState => {
  const isWaiting = config.principal.kind !== 'session' && now.isConnected;
  return {
    ...now,
    isReady: !now.isDraining && (isWaiting || sessions.live > 0),
    capacity: config.MAX_CONCURRENT_SESSIONS,
    sessions: sessions.all.map(({ sessionId, epoch, runtime }) => ({ sessionId, epoch, state: runtime.core.state })),
  };
};
