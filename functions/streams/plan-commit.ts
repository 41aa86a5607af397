/** Pure: everything that one batch writes, in the transaction that stores it: head, projection, segment, ledger, chunks, and its closing. */
import type { SessionEvent } from '../../shared/events.ts';
import { LEASE_MS } from '../../shared/limits.ts';
import type { UsageCounters } from '../../shared/usage.ts';
import type { Update, Write } from '../database.ts';
import { type Billing, clampCounters, usageRowOf } from '../metering/usage-rows.ts';
import { closingMeta, closingWrites, type Suspension } from '../sessions/closing-writes.ts';
import { backoffMs } from '../sessions/decide-closing.ts';
import { headKey, metaKey, type SessionRecord, type SessionRef } from '../sessions/session-store.ts';
import { takeCheckpoints } from './checkpoints.ts';
import { chunkPut, objectPrefix } from './chunks.ts';
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

const headUpdate = (plan: Plan): Write => {
  const { ref, record, batch, folded, nowMs, isClosing } = plan;
  const { head } = record;
  return {
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: {
      ...streamAfter(plan),
      offset: folded.offset ?? head.offset,
      state: folded.state,
      leaseUntilMs: nowMs + LEASE_MS,
      ...(folded.progressed ? { progressed: true } : {}),
      ...(folded.startedAtMs !== undefined && head.runningAtMs === null ? { runningAtMs: nowMs } : {}),
      ...(isClosing ? { open: false, placement: null } : {}),
    },
    conditions: [
      { attr: 'epoch', op: '=', value: batch.epoch },
      { attr: 'open', op: '=', value: true },
      { attr: 'ackedRseq', op: '=', value: batch.firstRseq - 1 },
      /** Control-plane events take seq the same way. */
      { attr: 'seq', op: '=', value: head.seq },
    ],
  };
};

const metaUpdate = (plan: Plan, checkpointed: ReturnType<typeof takeCheckpoints>): Update => {
  const { ref, record, folded, nowMs, isClosing, usage } = plan;
  const nowIso = new Date(nowMs).toISOString();
  const started = folded.startedAtMs !== undefined && record.meta.startedAt === null;
  const closing = isClosing ? closingMeta({ record, usage }, suspensionOf(plan), nowMs) : null;
  return {
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: {
      state: folded.state,
      reason: folded.reason === undefined ? record.meta.reason : folded.reason,
      offset: folded.offset ?? record.meta.offset,
      seq: streamAfter(plan).seq,
      updatedAt: nowIso,
      lastEventAt: nowIso,
      ...(started ? { startedAt: nowIso } : {}),
      ...(folded.usage === undefined ? {} : { usage }),
      ...(folded.cliVersion === undefined ? {} : { cliVersion: folded.cliVersion }),
      ...(folded.diffKey?.startsWith(objectPrefix(ref)) ? { diffKey: folded.diffKey } : {}),
      ...checkpointed.meta,
      ...(folded.progressed && record.meta.strikes > 0 ? { strikes: 0 } : {}),
      ...(refusalsAfter(plan) === record.meta.refusals ? {} : { refusals: refusalsAfter(plan) }),
      ...closing?.set,
    },
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
  const billing: Billing = { ref, meta, epoch: batch.epoch, assignedAtMs: head.assignedAtMs, nowMs };
  const rows = events.flatMap((event) => usageRowOf(event, event.seq, billing) ?? []);
  const checkpointed = takeCheckpoints(ref, meta, batch.epoch, folded.checkpoints, nowMs);
  const { epoch, firstRseq, digest } = batch;
  const fixed: Write[] = [
    headUpdate(plan),
    metaUpdate(plan, checkpointed),
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
  };
};
