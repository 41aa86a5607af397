/**
 * Late truth of a closed epoch: the batch is kept beside the log, what it says of usage corrects the ledger within what the platform saw
 * of the epoch, and the chunks it names can be read. State and log stay as the closing left them.
 */
import { batchDigestInput } from '../../shared/batch.ts';
import type { RunnerEvent } from '../../shared/events.ts';
import { isSameUsage, type UsageCounters } from '../../shared/usage.ts';
import type { Write } from '../database.ts';
import { sha256Hex } from '../hash.ts';
import { type Billing, correctedCounters, correctionRow, lateModelRow } from '../metering/usage-rows.ts';
import { sumUnchanged } from '../sessions/closing-writes.ts';
import { type EpochItem, metaKey, type SessionRecord, type SessionRef } from '../sessions/session-store.ts';
import { foldBatch } from './fold-batch.ts';
import type { Batch, IngestPorts } from './ingest-batch.ts';
import { type AsideEffects, type Kept, keepAside, NO_EFFECTS } from './keep-aside.ts';
import { chunkPuts } from './plan-commit.ts';
import { annexPut } from './segments.ts';
import { unkeptEvents } from './unkept-events.ts';

/** As a batch of its own; its numbers may have holes, where the events between stand in other batches. */
const batchOf = (batch: Batch, events: Batch['events'], firstRseq: number): Batch => {
  const { sessionId, epoch } = batch;
  const identity = { sessionId, epoch, firstRseq, events };
  return { ...identity, digest: sha256Hex(batchDigestInput(identity)) };
};

const ABSENT = [{ attr: 'pk', is: 'absent' }] as const;

type Tick = Extract<RunnerEvent, { type: 'usage_tick' }>;
const isTick = (event: RunnerEvent): event is Tick => event.type === 'usage_tick';

/** Rows are new, the sums move by what they add; both only if nothing else corrected this session meanwhile. */
const correctionOf = (
  ref: SessionRef,
  { meta }: SessionRecord,
  epoch: EpochItem & { usage: UsageCounters },
  last: Tick,
  billing: Billing,
): Pick<AsideEffects, 'epoch' | 'fenced'> => {
  const usage = correctedCounters(epoch.usage, last.counters, billing.assignedAtMs, epoch.closedAtMs ?? 0);
  if (isSameUsage(usage, epoch.usage)) return { epoch: {}, fenced: [] };
  return {
    epoch: { usage },
    fenced: [
      correctionRow(billing, last, usage),
      {
        kind: 'update',
        table: 'sessions',
        key: metaKey(ref),
        set: { usageBefore: movedSum(meta.usageBefore, epoch.usage, usage), usageRev: meta.usageRev + 1 },
        conditions: [sumUnchanged(meta)],
      },
    ],
  };
};

const movedSum = (sum: UsageCounters, from: UsageCounters, to: UsageCounters): UsageCounters => ({
  agentMs: sum.agentMs - from.agentMs + to.agentMs,
  waitingMs: sum.waitingMs - from.waitingMs + to.waitingMs,
  frozenMs: sum.frozenMs - from.frozenMs + to.frozenMs,
  terminalBytes: sum.terminalBytes - from.terminalBytes + to.terminalBytes,
  filesTouched: sum.filesTouched - from.filesTouched + to.filesTouched,
  commands: sum.commands - from.commands + to.commands,
});

const effectsOf = (
  ref: SessionRef,
  record: SessionRecord,
  epoch: EpochItem,
  batch: Batch,
  nowMs: number,
): Omit<AsideEffects, 'annexBatches'> => {
  const { events } = foldBatch({ state: record.head.state }, batch.events);
  const assignedAtMs = epoch.assignedAtMs ?? null;
  const billing: Billing = { ref, meta: record.meta, epoch: epoch.epoch, assignedAtMs, nowMs };
  const { seq } = record.head;
  const rows: Write[] = [
    ...events.flatMap((event) => lateModelRow(event, seq, billing) ?? []),
    ...chunkPuts(ref, events).map((put) => ({ ...put, conditions: ABSENT })),
  ];
  const last = events.filter(isTick).at(-1);
  const { usage } = epoch;
  if (last === undefined || usage === undefined) return { epoch: {}, fenced: [], rows };
  return { ...correctionOf(ref, record, { ...epoch, usage }, last, billing), rows };
};

/** Keeps what is new of it, once: a batch that stands there already, whole or in pieces, is kept without a write. */
export const annexBatch = async (
  ports: IngestPorts,
  ref: SessionRef,
  record: SessionRecord,
  batch: Batch,
): Promise<Kept> => {
  const nowMs = ports.clock.nowMs();
  /** Read before what stands there: whoever adds to that afterwards is seen by the fence. */
  const epoch = await ports.sessions.epoch(ref, batch.epoch);
  const unkept = await unkeptEvents(ports.db, ref, batch);
  if (unkept === null) return 'other_digest';
  const [first] = unkept;
  if (first === undefined) return 'kept';
  const fresh = batchOf(batch, [...unkept], first.rseq);
  const put = annexPut(ref, { ...fresh, committedAtMs: nowMs });
  const isClosed = epoch?.closedAtMs !== undefined;
  const effects = epoch !== null && isClosed ? effectsOf(ref, record, epoch, fresh, nowMs) : NO_EFFECTS;
  return keepAside(ports.db, ref, batch.epoch, put, { ...effects, annexBatches: epoch?.annexBatches ?? 0 });
};
