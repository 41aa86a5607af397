/** The real clock, network and disk of a runner put together: what the process runs, and what a test can run beside itself. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemClock, systemRandom } from '../../shared/clock.ts';
import { ADAPTERS } from './adapters/registry.ts';
import { apiUrl, type RunnerConfig, runnerSocketUrl } from './config.ts';
import type { Log } from './log.ts';
import type { PtyHost } from './pty-host/client.ts';
import { Runner } from './runner.ts';
import { fetchCredentialsFrom } from './session/credentials.ts';
import { fetchPut } from './session/uploads.ts';
import { wsSocket } from './transport/socket.ts';
import { inheritedVariables } from './workspace/git-environment.ts';

const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** CLOCK_BOOTTIME in milliseconds: unlike the monotonic clock it goes on while the machine sleeps, which leases must see. */
const bootMs = (): number => Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1_000;

export const composeRunner = (config: RunnerConfig, host: PtyHost, log: Log): Runner =>
  new Runner({
    config,
    openSocket: wsSocket(runnerSocketUrl(config.CONTROL_PLANE_URL)),
    ports: {
      clock: systemClock,
      bootMs,
      random: systemRandom,
      log,
      host,
      fetchCredentials: fetchCredentialsFrom(apiUrl(config.CONTROL_PLANE_URL, '/api/runner/credentials'), systemClock),
      put: fetchPut,
      adapters: ADAPTERS,
      gitEnvironment: inheritedVariables(process.env),
      agentPath: `${dirname(process.execPath)}:${SYSTEM_PATH}`,
      allowsLocalRepositories: LOOPBACK.has(new URL(config.CONTROL_PLANE_URL).hostname),
      isolation: 'shared_uid',
    },
  });
