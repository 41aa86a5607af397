/** Entry of the runner process: real clock, network and disk put together, signals heard, exit code given to pty-host. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { sleep, systemClock, systemRandom } from '../../shared/clock.ts';
import { ERROR_REPORT_TIMEOUT_MS } from '../../shared/limits.ts';
import { ADAPTERS } from './adapters/registry.ts';
import { apiUrl, parseConfig, type RunnerConfig, runnerSocketUrl } from './config.ts';
import { createErrorReport, type ErrorReport, NO_ERROR_REPORT } from './health/error-report.ts';
import { startHealthServer } from './health/health-server.ts';
import { createLog, formatLine, type Log } from './log.ts';
import { connectPtyHost, type PtyHost } from './pty-host/client.ts';
import { Runner } from './runner.ts';
import { fetchCredentialsFrom } from './session/credentials.ts';
import { fetchPut } from './session/uploads.ts';
import { wsSocket } from './transport/socket.ts';
import { inheritedVariables } from './workspace/git-environment.ts';

const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);
const ID_BYTES = 6;

/** CLOCK_BOOTTIME in milliseconds: unlike the monotonic clock it goes on while the machine sleeps, which leases must see. */
const bootMs = (): number => Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1_000;

const createRunner = (config: RunnerConfig, host: PtyHost, log: Log): Runner =>
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

const errorReportOf = ({ SENTRY_DSN: dsn, RUNNER_VERSION: release, ...config }: RunnerConfig): ErrorReport =>
  dsn === undefined
    ? NO_ERROR_REPORT
    : createErrorReport({
        ...{ dsn, release, build: config.VILLAGE_BUILD_ID, clock: systemClock, random: systemRandom },
        secrets: [config.CONTROL_PLANE_TOKEN],
      });

const main = async (): Promise<number> => {
  const parsed = parseConfig(process.env, () => `runner-${systemRandom.hex(ID_BYTES)}`);
  if (parsed.kind === 'bad') {
    for (const line of parsed.lines) console.error(line);
    return 1;
  }
  const { config } = parsed;
  const errors = errorReportOf(config);
  const log = createLog(
    config.LOG_LEVEL,
    systemClock,
    (line) => process.stdout.write(line),
    {
      runnerId: config.RUNNER_ID,
    },
    errors.report,
  );
  const host = await connectPtyHost(config.VILLAGE_PTY_SOCKET);
  const runner = createRunner(config, host, log);
  const health = await startHealthServer(() => runner.health(), config.METRICS_ENABLED);
  log.info('runner started', { build: config.VILLAGE_BUILD_ID, version: config.RUNNER_VERSION, health: health.url });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => runner.drain());
  const crash = (error: unknown): void => {
    // pty-host keeps the CLI and starts the runner again, which takes up its journal.
    console.error(
      formatLine(systemClock.nowMs(), 'error', 'the runner crashed', { error, runnerId: config.RUNNER_ID }),
    );
    errors.reportCrash(error);
    process.exit(1);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  void host.lost.then(() => crash(new Error('pty-host is gone')));
  const exitCode = await runner.run();
  await health.close();
  await Promise.race([errors.settled(), sleep(systemClock, ERROR_REPORT_TIMEOUT_MS)]);
  return exitCode;
};

process.exit(await main());
