/** Usage as finance reads it: integers with their unit in the name, cumulative per (session, epoch), never overwritten. */
import { z } from 'zod';
import { BuildId, Epoch, SessionId, TenantId } from './ids.ts';
import { ProviderId } from './providers.ts';

const counter = z.int().min(0);

/** Cumulative since the start of the epoch; a lost tick heals with the next. */
export const UsageCounters = z.strictObject({
  agentMs: counter,
  waitingMs: counter,
  frozenMs: counter,
  terminalBytes: counter,
  filesTouched: counter,
  commands: counter,
});
export type UsageCounters = z.infer<typeof UsageCounters>;

export const ZERO_USAGE: UsageCounters = {
  agentMs: 0,
  waitingMs: 0,
  frozenMs: 0,
  terminalBytes: 0,
  filesTouched: 0,
  commands: 0,
};

const COUNTERS = Object.keys(ZERO_USAGE) as (keyof UsageCounters)[];
const combined = (join: (name: keyof UsageCounters) => number): UsageCounters =>
  Object.fromEntries(COUNTERS.map((name) => [name, join(name)])) as UsageCounters;

export const addCounters = (a: UsageCounters, b: UsageCounters): UsageCounters => combined((name) => a[name] + b[name]);
/** Counter by counter the larger one: cumulative counters never fall. */
export const largerCounters = (a: UsageCounters, b: UsageCounters): UsageCounters =>
  combined((name) => Math.max(a[name], b[name]));
export const isSameUsage = (a: UsageCounters, b: UsageCounters): boolean =>
  COUNTERS.every((name) => a[name] === b[name]);

/** Tokens of one model call, kept apart as vendors bill them. */
export const TokenCounts = z.strictObject({
  inputTokens: counter,
  outputTokens: counter,
  cacheReadTokens: counter,
  cacheWriteTokens: counter,
  reasoningTokens: counter,
});
export type TokenCounts = z.infer<typeof TokenCounts>;

export const UsageSource = z.enum(['metered', 'reported', 'reaper', 'correction']);

/** One row of the ledger. `quarantined` rows are kept and never summed. */
export const UsageRow = z.strictObject({
  tenantId: TenantId,
  sessionId: SessionId,
  epoch: Epoch,
  rseq: counter,
  seq: counter,
  kind: z.enum(['tick', 'final', 'model', 'close_out', 'correction']),
  source: UsageSource,
  quarantined: z.boolean(),
  provider: ProviderId,
  cliVersion: z.string(),
  buildId: BuildId,
  runnerBuild: z.string(),
  taskDefinition: z.string(),
  atIso: z.iso.datetime(),
  ...UsageCounters.shape,
  model: z.string().optional(),
  ...TokenCounts.partial().shape,
});
export type UsageRow = z.infer<typeof UsageRow>;
