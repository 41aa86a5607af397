/** Pure: everything that one batch writes, in the transaction that stores it: head, projection, segment, ledger, chunks, and its closing. */
import type { SessionEvent } from '../../shared/events.ts';
import { LEASE_MS } from '../../shared/limits.ts';
import type { UsageCounters } from '../../shared/usage.ts';
import type { Update, Write } from '../database.ts';
import { type Billing, clampCounters, usageRowOf } from '../metering/usage-rows.ts';
import { closingMeta, closingWrites, type Suspension } from '../sessions/closing-writes.ts';
import { backoffMs } from '../sessions/decide-closing.ts';
import {
  headKey,
  keptByHead,
  metaKey,
  type SessionMeta,
  type SessionRecord,
  type SessionRef,
  type StreamHead,
} from '../sessions/session-store.ts';
import { objectPrefix, withShortKeys } from '../sessions/stored-keys.ts';
import { takeCheckpoints } from './checkpoints.ts';
import { chunkPut } from './chunks.ts';
import { remember } from './decide-batch.ts';
import { type Folded, foldBatch } from './fold-batch.ts';
import type { Batch } from './ingest-batch.ts';
import { segmentPut } from './segments.ts';

export interface Commit {
  readonly writes: readonly Write[];
  /** Indexes of ledger rows in `writes`, which may stand there already. */
  readonly usageAt: ReadonlySet<number>;
  readonly ackedRseq: number;
  readonly headSeq: number;
  /** Objects that nothing names any more once this is committed. */
  readonly obsoleteKeys: readonly string[];
  /** The session as this leaves it; `null` where it closes the epoch. */
  readonly after: SessionRecord | null;
}

/** What is decided about a batch before anything is written down. */
interface Plan {
  readonly ref: SessionRef;
  readonly record: SessionRecord;
  readonly batch: Batch;
  readonly folded: Folded;
  readonly nowMs: number;
  /** Of the epoch, after this batch. */
  readonly usage: UsageCounters;
  readonly isClosing: boolean;
}

/** The head's stream after this batch. */
const streamAfter = ({ record: { head }, batch }: Plan) => {
  const ackedRseq = batch.firstRseq + batch.events.length - 1;
  return {
    ackedRseq,
    seq: head.seq + batch.events.length,
    recent: remember(head.recent, { f: batch.firstRseq, l: ackedRseq, d: batch.digest, s: head.seq + 1 }),
  };
};

const tickDay = ({ epoch }: Pick<Batch, 'epoch'>, nowMs: number): string =>
  `${epoch}#${new Date(nowMs).toISOString().slice(0, 10)}`;

const hasRun = ({ record, folded }: Plan): boolean =>
  record.head.runningAtMs !== null || folded.startedAtMs !== undefined;

/** A runner that gives the session back before its CLI ever ran met something that may stay for a while: no loop without a pause. */
const refusalsAfter = (plan: Plan): number => {
  const { refusals } = plan.record.meta;
  if (hasRun(plan)) return 0;
  return plan.folded.leaves === null ? refusals : refusals + 1;
};

/** Parked waits for a person; who asked for it to go on while it was being parked is not made to ask again. */
const suspensionOf = (plan: Plan): Suspension | null => {
  const { folded, record, nowMs } = plan;
  if (folded.ended || folded.leaves === null) return null;
  const isAskedOn = folded.state === 'paused_by_human' && record.head.desired === 'run';
  const notBeforeMs = hasRun(plan) ? nowMs : nowMs + backoffMs(refusalsAfter(plan));
  return { isParked: folded.leaves === 'parked' && !isAskedOn, notBeforeMs };
};

const headSet = (plan: Plan, meta: SessionMeta, writesMeta: boolean): Partial<StreamHead> => {
  const { record, folded, nowMs, isClosing } = plan;
  const { head } = record;
  const stream = streamAfter(plan);
  return {
    ...stream,
    offset: folded.offset ?? head.offset,
    state: folded.state,
    leaseUntilMs: nowMs + LEASE_MS,
    ...(writesMeta
      ? { metaSeq: stream.seq }
      : { metaSeq: head.metaSeq ?? head.seq, ...keptByHead(meta), lastEventMs: nowMs }),
    ...(folded.usage === undefined ? {} : { tickedOn: tickDay(plan.batch, nowMs) }),
    ...(folded.progressed ? { progressed: true } : {}),
    ...(folded.startedAtMs !== undefined && head.runningAtMs === null ? { runningAtMs: nowMs } : {}),
    ...(isClosing ? { open: false, placement: null } : {}),
  };
};

const headUpdate = (plan: Plan, set: Partial<StreamHead>): Write => {
  const { ref, batch, record } = plan;
  const { head } = record;
  return {
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: withShortKeys(ref, set),
    conditions: [
      { attr: 'epoch', op: '=', value: batch.epoch },
      { attr: 'open', op: '=', value: true },
      { attr: 'ackedRseq', op: '=', value: batch.firstRseq - 1 },
      /** Control-plane events take seq the same way, and whatever people ask for is one. */
      { attr: 'seq', op: '=', value: head.seq },
      /** What it bounds is billed. */
      { attr: 'assignedAtMs', op: '=', value: head.assignedAtMs },
    ],
  };
};

const metaSet = (plan: Plan, checkpointed: ReturnType<typeof takeCheckpoints>): Partial<SessionMeta> => {
  const { ref, record, folded, nowMs, usage } = plan;
  const nowIso = new Date(nowMs).toISOString();
  const started = folded.startedAtMs !== undefined && record.meta.startedAt === null;
  return {
    state: folded.state,
    reason: folded.reason === undefined ? record.meta.reason : folded.reason,
    offset: folded.offset ?? record.meta.offset,
    seq: streamAfter(plan).seq,
    updatedAt: nowIso,
    lastEventAt: nowIso,
    ...keptByHead(record.meta),
    usage,
    ...(started ? { startedAt: nowIso } : {}),
    ...(folded.cliVersion === undefined ? {} : { cliVersion: folded.cliVersion }),
    ...(folded.diffKey?.startsWith(`${objectPrefix(ref)}/`) ? { diffKey: folded.diffKey } : {}),
    ...checkpointed.meta,
    ...(folded.progressed && record.meta.strikes > 0 ? { strikes: 0 } : {}),
    ...(refusalsAfter(plan) === record.meta.refusals ? {} : { refusals: refusalsAfter(plan) }),
  };
};

const MOVING: ReadonlySet<string> = new Set(['seq', 'offset', 'updatedAt', 'lastEventAt']);
/** Most commits change nothing of META but what the head keeps too, and a write of it would be a third of what they cost. */
const changesMeta = ({ record: { meta }, isClosing }: Plan, set: Partial<SessionMeta>): boolean => {
  const kept = { ...meta, ...keptByHead({ ...meta, ...set }) } as Record<string, unknown>;
  return isClosing || Object.entries(set).some(([name, value]) => !MOVING.has(name) && value !== kept[name]);
};

const metaUpdate = (plan: Plan, set: Partial<SessionMeta>): Update => {
  const { ref, record, nowMs, isClosing, usage } = plan;
  const closing = isClosing ? closingMeta({ record, usage }, suspensionOf(plan), nowMs) : null;
  return {
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: { ...withShortKeys(ref, set), ...closing?.set },
    ...(closing === null ? {} : { remove: closing.remove, conditions: closing.conditions }),
  };
};

/** By number: a chunk named twice in a batch must not cancel the transaction. */
export const chunkPuts = (ref: SessionRef, events: Folded['events']): Write[] => [
  ...new Map(
    events.flatMap((event) => (event.type === 'transcript_chunk_stored' ? [[event.number, chunkPut(ref, event)]] : [])),
  ).values(),
];

const planOf = (ref: SessionRef, record: SessionRecord, batch: Batch, nowMs: number): Plan => {
  const folded = foldBatch({ state: record.head.state }, batch.events);
  const { assignedAtMs } = record.head;
  return {
    ref,
    record,
    batch,
    folded,
    nowMs,
    /** Bounded now: at the closing more time has passed, which nobody proved. */
    usage: folded.usage === undefined ? record.meta.usage : clampCounters(folded.usage, assignedAtMs, nowMs).counters,
    isClosing: folded.ended || folded.leaves !== null,
  };
};

export const planCommit = (ref: SessionRef, record: SessionRecord, batch: Batch, nowMs: number): Commit => {
  const plan = planOf(ref, record, batch, nowMs);
  const { head, meta } = record;
  const { folded, usage, isClosing } = plan;
  const stream = streamAfter(plan);
  const events: SessionEvent[] = folded.events.map((event, index) => ({ ...event, seq: head.seq + 1 + index }));
  const isFirstOfDay = head.tickedOn !== tickDay(batch, nowMs);
  const billing: Billing = { ref, meta, epoch: batch.epoch, assignedAtMs: head.assignedAtMs, nowMs, isFirstOfDay };
  const rows = events.flatMap((event) => usageRowOf(event, event.seq, billing) ?? []);
  const checkpointed = takeCheckpoints(ref, meta, batch.epoch, folded.checkpoints, nowMs);
  const { epoch, firstRseq, digest } = batch;
  const metaChange = metaSet(plan, checkpointed);
  const writesMeta = changesMeta(plan, metaChange);
  const headChange = headSet(plan, { ...meta, ...metaChange }, writesMeta);
  const fixed: Write[] = [
    headUpdate(plan, headChange),
    ...(writesMeta ? [metaUpdate(plan, metaChange)] : []),
    segmentPut(ref, { epoch, firstRseq, digest, events, firstSeq: head.seq + 1, committedAtMs: nowMs }),
    ...(isClosing
      ? closingWrites(ref, { record, stream, state: folded.state, usage, isOver: folded.ended }, nowMs)
      : []),
    ...chunkPuts(ref, events),
  ];
  return {
    writes: [...fixed, ...rows],
    usageAt: new Set(rows.map((_, index) => fixed.length + index)),
    ackedRseq: stream.ackedRseq,
    headSeq: stream.seq,
    obsoleteKeys: checkpointed.obsoleteKeys,
    after: isClosing ? null : { head: { ...head, ...headChange }, meta: { ...meta, ...metaChange } },
  };
};
