/** Entry of the runner process: environment read, signals heard, errors reported, exit code given to pty-host. */
import { sleep, systemClock, systemRandom } from '../../shared/clock.ts';
import { ERROR_REPORT_TIMEOUT_MS } from '../../shared/limits.ts';
import { composeRunner } from './compose-runner.ts';
import { parseConfig, type RunnerConfig } from './config.ts';
import { createErrorReport, type ErrorReport, NO_ERROR_REPORT } from './health/error-report.ts';
import { startHealthServer } from './health/health-server.ts';
import { takeState } from './host/take-state.ts';
import { createLog, formatLine } from './log.ts';
import { connectPtyHost } from './pty-host/client.ts';
import { NO_RESTART_EXIT_CODE } from './pty-host/restart-policy.ts';

const ID_BYTES = 6;

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
    return NO_RESTART_EXIT_CODE;
  }
  const { config } = parsed;
  const taken = await takeState(config, process.env);
  if (taken.kind === 'refused') {
    console.error(taken.message);
    return NO_RESTART_EXIT_CODE;
  }
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
  const runner = composeRunner(config, host, log);
  const health = await startHealthServer(() => runner.health(), config.METRICS_ENABLED);
  log.info('runner started', { build: config.VILLAGE_BUILD_ID, version: config.RUNNER_VERSION, health: health.url });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => runner.drain());
  const crash = (error: unknown): void => {
    if (runner.contain(error)) return;
    // pty-host keeps the CLI and starts the runner again, which takes up its journal.
    console.error(
      formatLine(systemClock.nowMs(), 'error', 'the runner crashed', { error, runnerId: config.RUNNER_ID }),
    );
    errors.reportCrash(error);
    process.exit(1);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  void host.lost.then(() => {
    // Nobody starts us again, and the terminals died with it: what is left of the sessions ends here, in order, and is reported.
    log.error('pty-host is gone');
    runner.drain();
  });
  // Our output went through pty-host: without it nobody reads us, which must not end what is still to be said elsewhere.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const exitCode = await runner.run();
  await health.close();
  await Promise.race([errors.settled(), sleep(systemClock, ERROR_REPORT_TIMEOUT_MS)]);
  return exitCode;
};

process.exit(await main());
