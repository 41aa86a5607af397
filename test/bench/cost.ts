/** What a session-hour costs the control plane: billable units counted from the real handlers on a recorded terminal, times the price list. */
import { FUNCTIONS } from '../../infra/topology.ts';
import { type Counts, playHour } from './cost-hour.ts';
import { ASSUMED, PRICES, TASK } from './prices.ts';

const HOUR_MS = 60 * 60_000;
const WATCHED_SHARE = 0.2;
const MILLION = 1_000_000;

const dollars = (counts: Counts) => {
  const invocations = Object.values(counts.invocations).reduce((sum, count) => sum + count, 0);
  const beginsTraces = (name: string) => FUNCTIONS.find((one) => one.name === name)?.begins === 'traces';
  const traced = Object.entries(counts.invocations).reduce(
    (sum, [name, count]) => sum + (beginsTraces(name) ? count : 0),
    0,
  );
  const messages = counts.runnerMessages + counts.viewerMessages;
  const parts = {
    messages: (messages * PRICES.webSocketPerMillion) / MILLION,
    connectionMinutes: (counts.connectionMinutes * PRICES.connectionMinutesPerMillion) / MILLION,
    httpRequests: (counts.httpRequests * PRICES.httpApiPerMillion) / MILLION,
    invocations: (invocations * PRICES.lambdaPerMillion) / MILLION,
    gbSeconds: counts.gbSeconds * PRICES.lambdaArm64PerGbSecond,
    writeUnits: (counts.database.writes * PRICES.dynamoWritesPerMillion) / MILLION,
    readUnits: (counts.database.reads * PRICES.dynamoReadsPerMillion) / MILLION,
    puts: (counts.puts * PRICES.s3PutsPerMillion) / MILLION,
    gets: (counts.gets * PRICES.s3GetsPerMillion) / MILLION,
    logs: (counts.batches * ASSUMED.logBytesPerBatch * PRICES.logsPerGb) / 1e9,
    traces: (traced * ASSUMED.tracedShare * PRICES.tracesPerMillion) / MILLION,
  };
  return { parts, all: Object.values(parts).reduce((sum, part) => sum + part, 0), invocations, messages };
};

const rounded = (value: number, digits = 4): number => Number(value.toPrecision(digits));
const roundedAll = (values: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, rounded(value)]));

export const cost = async (minutes: number) => {
  const durationMs = minutes * 60_000;
  const perHour = HOUR_MS / durationMs;
  const fargate = TASK.vcpu * PRICES.fargateArm64VcpuHour + TASK.memoryGb * PRICES.fargateArm64GbHour;
  const describe = (counts: Counts) => {
    const { parts, all, invocations, messages } = dollars(counts);
    return {
      counted: {
        ...{ messages, runnerMessages: counts.runnerMessages, viewerMessages: counts.viewerMessages, invocations },
        invocationsByFunction: roundedAll(counts.invocations as Record<string, number>),
        ...{
          gbSeconds: rounded(counts.gbSeconds),
          batches: counts.batches,
          puts: counts.puts,
          database: counts.database,
        },
      },
      dollarsPerHour: roundedAll({
        ...Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, value * perHour])),
        all: all * perHour,
      }),
      ofFargate: rounded((all * perHour) / fargate, 3),
    };
  };
  const watched = await playHour(durationMs, WATCHED_SHARE);
  const unwatched = await playHour(durationMs, 0);
  // In and out: the runner sends one message for each read of the PTY, and the viewer gets one.
  const baselineMessages = watched.reads * 2;
  return {
    unit: 'US dollars per session-hour',
    playedMinutes: minutes,
    prices: PRICES,
    assumed: ASSUMED,
    fargatePerHour: rounded(fargate),
    baseline: { what: 'one message per PTY read in and out, always watched', messages: baselineMessages },
    messagesRatio: rounded(dollars(watched).messages / baselineMessages, 3),
    watched20Percent: describe(watched),
    unwatched: describe(unwatched),
  };
};
