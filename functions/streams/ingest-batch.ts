/**
 * Commits a runner's batch: one segment, one transaction with the stream head, the projection, the ledger and the chunks, conditional
 * on `epoch = e AND open AND ackedRseq = firstRseq - 1` (architecture §5). Whatever the network did, an event is stored once.
 */

import { batchDigestInput } from '../../shared/batch.ts';
import type { Clock } from '../../shared/clock.ts';
import type { SessionEvent } from '../../shared/events.ts';
import type { FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { BATCH_MAX_ROW_EVENTS, EVENT_MAX_DEPTH, LEASE_MS } from '../../shared/limits.ts';
import type { Database, Put, TransactResult, Write } from '../database.ts';
import { sha256Hex } from '../hash.ts';
import { type Billing, clampCounters, quarantined, sameRow, usageRowOf } from '../metering/usage-rows.ts';
import { closingWrites } from '../sessions/closing-writes.ts';
import {
  headKey,
  LIVE_INDEX_ATTRS,
  metaKey,
  type SessionRecord,
  type SessionRef,
  type SessionStore,
} from '../sessions/session-store.ts';
import { chunkPut, objectPrefix } from './chunks.ts';
import { type BatchDecision, decideBatch, remember } from './decide-batch.ts';
import { type Folded, foldBatch, rowEventCount } from './fold-batch.ts';
import { keepAside } from './keep-aside.ts';
import { annexPut, quarantinePut, segmentPut } from './segments.ts';
import { storedDigest } from './stored-digest.ts';

export type Batch = Pick<
  FrameOf<RunnerFrame, 'runner_events'>,
  'sessionId' | 'epoch' | 'firstRseq' | 'events' | 'digest'
>;

export type IngestResult =
  | { readonly kind: 'ack'; readonly ackedRseq: number; readonly headSeq: number }
  | {
      readonly kind: 'nack';
      readonly reason: 'gap' | 'stale_epoch' | 'closed' | 'other_digest' | 'invalid';
      readonly expected: number;
    };

export interface IngestPorts {
  readonly db: Database;
  readonly sessions: SessionStore;
  readonly clock: Clock;
}

/** Rounds of read, decide, write before the weather is reported instead; each lost round means another writer won. */
const ROUNDS = 12;

const envelopesFit = (batch: Batch, ref: SessionRef): boolean =>
  batch.events.every(
    (event, index) =>
      event.sessionId === ref.sessionId &&
      event.tenantId === ref.tenantId &&
      event.epoch === batch.epoch &&
      event.rseq === batch.firstRseq + index,
  );

/** Without recursion, which a value of this kind would exhaust. */
const isDeep = (events: readonly unknown[]): boolean => {
  let layer: unknown[] = [...events];
  for (let depth = 0; layer.length > 0; depth += 1) {
    if (depth > EVENT_MAX_DEPTH) return true;
    layer = layer.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
  return false;
};

interface Commit {
  readonly writes: readonly Write[];
  /** Indexes of ledger rows in `writes`, which may stand there already. */
  readonly usageAt: ReadonlySet<number>;
  readonly ackedRseq: number;
  readonly headSeq: number;
}

const metaUpdate = (ref: SessionRef, record: SessionRecord, folded: Folded, headSeq: number, nowMs: number): Write => {
  const nowIso = new Date(nowMs).toISOString();
  const started = folded.startedAtMs !== undefined && record.meta.startedAt === null;
  return {
    kind: 'update',
    table: 'sessions',
    key: metaKey(ref),
    set: {
      state: folded.state,
      reason: folded.reason === undefined ? record.meta.reason : folded.reason,
      offset: folded.offset ?? record.meta.offset,
      seq: headSeq,
      updatedAt: nowIso,
      lastEventAt: nowIso,
      ...(started ? { startedAt: nowIso } : {}),
      /** Bounded now: at the closing more time has passed, which nobody proved. */
      ...(folded.usage === undefined
        ? {}
        : { usage: clampCounters(folded.usage, record.head.assignedAtMs, nowMs).counters }),
      ...(folded.cliVersion === undefined ? {} : { cliVersion: folded.cliVersion }),
      ...(folded.diffKey?.startsWith(objectPrefix(ref)) ? { diffKey: folded.diffKey } : {}),
      ...(folded.ended ? { endedAt: nowIso } : {}),
    },
    ...(folded.ended ? { remove: LIVE_INDEX_ATTRS } : {}),
  };
};

const headUpdate = (ref: SessionRef, record: SessionRecord, batch: Batch, folded: Folded, nowMs: number): Write => {
  const { head } = record;
  const lastRseq = batch.firstRseq + batch.events.length - 1;
  return {
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: {
      ackedRseq: lastRseq,
      seq: head.seq + batch.events.length,
      offset: folded.offset ?? head.offset,
      state: folded.state,
      leaseUntilMs: nowMs + LEASE_MS,
      recent: remember(head.recent, { f: batch.firstRseq, l: lastRseq, d: batch.digest, s: head.seq + 1 }),
      ...(folded.ended ? { open: false } : {}),
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

const planCommit = (ref: SessionRef, record: SessionRecord, batch: Batch, nowMs: number): Commit => {
  const { head, meta } = record;
  const folded = foldBatch({ state: head.state }, batch.events);
  const firstSeq = head.seq + 1;
  const headSeq = head.seq + batch.events.length;
  const events: SessionEvent[] = folded.events.map((event, index) => ({ ...event, seq: firstSeq + index }));
  const billing: Billing = { ref, meta, epoch: batch.epoch, assignedAtMs: head.assignedAtMs, nowMs };
  const usage = events.flatMap((event) => usageRowOf(event, event.seq, billing) ?? []);
  /** By number: a chunk named twice in a batch must not cancel the transaction. */
  const chunks = new Map(
    events.flatMap((event) => (event.type === 'transcript_chunk_stored' ? [[event.number, chunkPut(ref, event)]] : [])),
  );
  const fixed: Write[] = [
    headUpdate(ref, record, batch, folded, nowMs),
    metaUpdate(ref, record, folded, headSeq, nowMs),
    segmentPut(ref, {
      epoch: batch.epoch,
      firstRseq: batch.firstRseq,
      digest: batch.digest,
      events,
      firstSeq,
      committedAtMs: nowMs,
    }),
    ...(folded.ended
      ? [
          ...closingWrites(
            ref,
            { epoch: batch.epoch, placement: meta.placement, state: folded.state, isOver: true },
            nowMs,
          ),
        ]
      : []),
    ...chunks.values(),
  ];
  return {
    writes: [...fixed, ...usage],
    usageAt: new Set(usage.map((_, index) => fixed.length + index)),
    ackedRseq: batch.firstRseq + batch.events.length - 1,
    headSeq,
  };
};

/** Ledger keys that stand already: the same values are dropped, other values are quarantined; the batch itself goes on. */
const withoutTakenKeys = (
  commit: Commit,
  failed: Extract<TransactResult, { ok: false }>['failed'],
  digest: string,
): Commit => {
  const writes = commit.writes.flatMap((write, index): Write[] => {
    const taken = failed.find((entry) => entry.index === index);
    if (taken === undefined || !commit.usageAt.has(index) || write.kind !== 'put') return [write];
    return taken.item !== null && sameRow(taken.item, write) ? [] : [quarantined(write satisfies Put, digest)];
  });
  return { ...commit, writes, usageAt: new Set() };
};

const commitBatch = async (ports: IngestPorts, commit: Commit, digest: string): Promise<boolean> => {
  const result = await ports.db.transact(commit.writes);
  if (result.ok) return true;
  const onlyUsage = result.failed.every(({ index }) => commit.usageAt.has(index));
  return onlyUsage && (await ports.db.transact(withoutTakenKeys(commit, result.failed, digest).writes)).ok;
};

/**
 * Late truth of a closed epoch is kept in the annex; the runner is told that its epoch is over, and up to where it may forget:
 * never beyond what is stored.
 */
const annex = async (
  ports: IngestPorts,
  ref: SessionRef,
  record: SessionRecord,
  batch: Batch,
): Promise<IngestResult> => {
  const draft = { ...batch, committedAtMs: ports.clock.nowMs() };
  const kept = await keepAside(ports.db, ref, batch.epoch, annexPut(ref, draft));
  if (kept === 'other_digest') {
    /** Evidence: when the epoch may keep no more of it, the answer is the same. */
    await keepAside(ports.db, ref, batch.epoch, quarantinePut(ref, draft));
    return { kind: 'nack', reason: 'other_digest', expected: batch.firstRseq };
  }
  const reason = batch.epoch === record.head.epoch ? 'closed' : 'stale_epoch';
  return { kind: 'nack', reason, expected: batch.firstRseq + (kept === 'kept' ? batch.events.length : 0) };
};

const extendLease = async (ports: IngestPorts, ref: SessionRef, epoch: number): Promise<void> => {
  await ports.db.write({
    kind: 'update',
    table: 'sessions',
    key: headKey(ref),
    set: { leaseUntilMs: ports.clock.nowMs() + LEASE_MS },
    conditions: [
      { attr: 'epoch', op: '=', value: epoch },
      { attr: 'open', op: '=', value: true },
    ],
  });
};

const settle = async (
  ports: IngestPorts,
  ref: SessionRef,
  record: SessionRecord,
  batch: Batch,
  decision: Exclude<BatchDecision, { action: 'commit' }>,
): Promise<IngestResult> => {
  const stored: IngestResult = { kind: 'ack', ackedRseq: record.head.ackedRseq, headSeq: record.head.seq };
  switch (decision.action) {
    case 'heartbeat':
      await extendLease(ports, ref, batch.epoch);
      return stored;
    case 'duplicate':
      return stored;
    case 'gap':
      return { kind: 'nack', reason: 'gap', expected: decision.expected };
    case 'stale':
      return {
        kind: 'nack',
        reason: batch.epoch === record.head.epoch ? 'closed' : 'stale_epoch',
        expected: batch.firstRseq,
      };
    case 'annex':
      return annex(ports, ref, record, batch);
    case 'look_up': {
      const known = await storedDigest(ports.db, ref, record.head, batch.firstRseq);
      /**
       * A search that was given up is acknowledged: the events of these numbers are stored, only the comparison is skipped. Nothing of
       * the batch enters the log either way, while a refusal would end an honest runner whose answer was lost.
       */
      if (known.kind === 'unknown' || (known.kind === 'found' && known.digest === batch.digest)) return stored;
      break;
    }
    case 'quarantine':
      break;
  }
  /** Evidence: when the epoch may keep no more of it, the answer is the same. */
  await keepAside(ports.db, ref, batch.epoch, quarantinePut(ref, { ...batch, committedAtMs: ports.clock.nowMs() }));
  return { kind: 'nack', reason: 'other_digest', expected: record.head.ackedRseq + 1 };
};

/**
 * @param ref tenant and session as the capability names them, never as the frame does
 * @throws AppError `throttled` when the store stays busy: the runner resends
 */
export const ingestBatch = async (ports: IngestPorts, ref: SessionRef, batch: Batch): Promise<IngestResult | null> => {
  if (
    !envelopesFit(batch, ref) ||
    isDeep(batch.events) ||
    rowEventCount(batch.events) > BATCH_MAX_ROW_EVENTS ||
    sha256Hex(batchDigestInput(batch)) !== batch.digest
  )
    return { kind: 'nack', reason: 'invalid', expected: batch.firstRseq };
  for (let round = 0; round < ROUNDS; round += 1) {
    const record = await ports.sessions.record(ref);
    if (record === null) return null;
    const decision = decideBatch(record.head, { ...batch, eventCount: batch.events.length });
    if (decision.action !== 'commit') return settle(ports, ref, record, batch, decision);
    const commit = planCommit(ref, record, batch, ports.clock.nowMs());
    if (await commitBatch(ports, commit, batch.digest))
      return { kind: 'ack', ackedRseq: commit.ackedRseq, headSeq: commit.headSeq };
  }
  throw new Error(`batch ${batch.firstRseq} of ${ref.sessionId} lost ${ROUNDS} rounds against other writers`);
};
