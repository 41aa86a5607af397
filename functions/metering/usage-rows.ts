/** Rows of the ledger: what the runner counted, bounded by what the platform saw. A key is written once and never overwritten. */
import type { RunnerEvent } from '../../shared/events.ts';
import { largerCounters, type UsageCounters, type UsageRow } from '../../shared/usage.ts';
import type { Item, Put } from '../database.ts';
import { type SessionMeta, type SessionRef, sessionPk } from '../sessions/session-store.ts';

export interface Billing {
  readonly ref: SessionRef;
  readonly meta: SessionMeta;
  readonly epoch: number;
  /** Server time at which this epoch was assigned; nothing before it can be billed. */
  readonly assignedAtMs: number | null;
  readonly nowMs: number;
  /** This epoch has no tick of this day yet. */
  readonly isFirstOfDay?: boolean;
}

/** Agent, waiting and frozen time together never exceed the time the platform saw since assignment. */
export const clampCounters = (
  counters: UsageCounters,
  assignedAtMs: number | null,
  nowMs: number,
): { counters: UsageCounters; clampedMs: number } => {
  const seenMs = assignedAtMs === null ? 0 : Math.max(0, nowMs - assignedAtMs);
  const agentMs = Math.min(counters.agentMs, seenMs);
  const waitingMs = Math.min(counters.waitingMs, seenMs - agentMs);
  const frozenMs = Math.min(counters.frozenMs, seenMs - agentMs - waitingMs);
  const clampedMs = counters.agentMs - agentMs + (counters.waitingMs - waitingMs) + (counters.frozenMs - frozenMs);
  return { counters: { ...counters, agentMs, waitingMs, frozenMs }, clampedMs };
};

const usageSk = (epoch: number, rseq: number, kind: UsageRow['kind']) =>
  `EPOCH#${String(epoch).padStart(6, '0')}#${String(rseq).padStart(9, '0')}#${kind}`;

/**
 * @param isOfDay whether the days' index has it. Counters are cumulative, so what an epoch used on a day lies between its first rows of
 * that day and of the next, or its last one; the other ticks would only be read over, and each entry is paid for.
 */
const rowPut = (row: UsageRow & { clampedMs: number }, isOfDay = true): Put => ({
  kind: 'put',
  table: 'usage',
  item: {
    pk: sessionPk(row),
    sk: usageSk(row.epoch, row.rseq, row.kind),
    ...(isOfDay ? { dayKey: `T#${row.tenantId}#DAY#${row.atIso.slice(0, 10)}` } : {}),
    ...row,
  },
  conditions: [{ attr: 'pk', is: 'absent' }],
});

const timesOf = ({ agentMs, waitingMs, frozenMs }: UsageCounters): number => agentMs + waitingMs + frozenMs;

const ZERO_TIME = { agentMs: 0, waitingMs: 0, frozenMs: 0, terminalBytes: 0, filesTouched: 0, commands: 0 };

/** The row of a `usage_tick` or `model_usage` event; `null` for every other event. */
export const usageRowOf = (event: RunnerEvent, seq: number, billing: Billing): Put | null => {
  const base = {
    tenantId: billing.ref.tenantId,
    sessionId: billing.ref.sessionId,
    epoch: billing.epoch,
    rseq: event.rseq,
    seq,
    /** A customer's own machine is its own witness. */
    source: billing.meta.placement?.kind === 'group' ? ('reported' as const) : ('metered' as const),
    quarantined: false,
    provider: billing.meta.config.provider,
    buildId: billing.meta.config.buildId,
    atIso: new Date(billing.nowMs).toISOString(),
  };
  if (event.type === 'usage_tick') {
    const { counters, clampedMs } = clampCounters(event.counters, billing.assignedAtMs, billing.nowMs);
    const row = {
      ...{ ...base, kind: event.final ? ('final' as const) : ('tick' as const) },
      ...{ cliVersion: event.cliVersion, runnerBuild: event.runnerBuild, taskDefinition: event.taskDefinition },
      ...{ ...counters, clampedMs },
    };
    return rowPut(row, event.final || billing.isFirstOfDay !== false);
  }
  if (event.type !== 'model_usage') return null;
  return rowPut({
    ...base,
    kind: 'model',
    cliVersion: billing.meta.cliVersion,
    runnerBuild: '',
    taskDefinition: billing.meta.taskDefinition,
    ...ZERO_TIME,
    model: event.model,
    ...event.tokens,
    clampedMs: 0,
  });
};

/**
 * The row with which the control plane closes an epoch whose runner could not: the last proven counters, nothing more. They were
 * bounded when they came; the time since then proves nothing and must not widen them.
 */
export const closeOutRow = (billing: Billing, rseq: number, seq: number): Put =>
  rowPut({
    tenantId: billing.ref.tenantId,
    sessionId: billing.ref.sessionId,
    epoch: billing.epoch,
    rseq,
    seq,
    kind: 'close_out',
    source: 'reaper',
    quarantined: false,
    provider: billing.meta.config.provider,
    cliVersion: billing.meta.cliVersion,
    buildId: billing.meta.config.buildId,
    runnerBuild: '',
    taskDefinition: billing.meta.taskDefinition,
    atIso: new Date(billing.nowMs).toISOString(),
    ...billing.meta.usage,
    clampedMs: 0,
  });

/**
 * What an epoch is billed once a late tick has come: counters only rise, and its times together never beyond the time that the platform
 * saw between assignment and closing.
 */
export const correctedCounters = (
  billed: UsageCounters,
  late: UsageCounters,
  assignedAtMs: number | null,
  closedAtMs: number,
): UsageCounters => {
  const seenMs = assignedAtMs === null ? 0 : Math.max(0, closedAtMs - assignedAtMs);
  let leftMs = Math.max(0, seenMs - billed.agentMs - billed.waitingMs - billed.frozenMs);
  const raised = (name: 'agentMs' | 'waitingMs' | 'frozenMs'): number => {
    const moreMs = Math.min(leftMs, Math.max(0, late[name] - billed[name]));
    leftMs -= moreMs;
    return billed[name] + moreMs;
  };
  const [agentMs, waitingMs, frozenMs] = [raised('agentMs'), raised('waitingMs'), raised('frozenMs')];
  return { ...largerCounters(billed, late), agentMs, waitingMs, frozenMs };
};

/** Cumulative like every row of its epoch, and after all that was written of it. */
export const correctionRow = (
  billing: Billing,
  tick: Extract<RunnerEvent, { type: 'usage_tick' }>,
  usage: UsageCounters,
): Put =>
  rowPut({
    tenantId: billing.ref.tenantId,
    sessionId: billing.ref.sessionId,
    epoch: billing.epoch,
    rseq: tick.rseq,
    seq: billing.meta.seq,
    kind: 'correction',
    source: 'correction',
    quarantined: false,
    provider: billing.meta.config.provider,
    cliVersion: tick.cliVersion,
    buildId: billing.meta.config.buildId,
    runnerBuild: tick.runnerBuild,
    taskDefinition: tick.taskDefinition,
    atIso: new Date(billing.nowMs).toISOString(),
    ...usage,
    clampedMs: Math.max(0, timesOf(tick.counters) - timesOf(usage)),
  });

/** A model call that was told of too late: a row of its own as ever, marked as a correction. */
export const lateModelRow = (event: RunnerEvent, seq: number, billing: Billing): Put | null => {
  const put = event.type === 'model_usage' ? usageRowOf(event, seq, billing) : null;
  return put === null ? null : { ...put, item: { ...put.item, source: 'correction' } };
};

/** The same key came with other values: both are kept, this one marked and never summed. */
export const quarantined = (put: Put, digest: string): Put => ({
  ...put,
  item: { ...put.item, sk: `QUARANTINE#${put.item.sk}#${digest.slice(0, 16)}`, quarantined: true },
  conditions: [],
});

const VOLATILE = new Set(['seq', 'atIso', 'dayKey']);
/** Whether a stored row says the same as `put` (what the platform adds at ingest aside). */
export const sameRow = (stored: Item, put: Put): boolean =>
  Object.entries(put.item).every(([attr, value]) => VOLATILE.has(attr) || stored[attr] === value);
