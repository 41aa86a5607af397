/**
 * Commits a runner's batch: one segment, one transaction with the stream head, the projection, the ledger and the chunks, conditional
 * on `epoch = e AND open AND ackedRseq = firstRseq - 1` (architecture §5). Whatever the network did, an event is stored once.
 */

import { batchDigestInput } from '../../shared/batch.ts';
import type { Clock } from '../../shared/clock.ts';
import type { FrameOf, RunnerFrame } from '../../shared/frames.ts';
import { BATCH_MAX_ROW_EVENTS, EVENT_MAX_DEPTH, LEASE_MS } from '../../shared/limits.ts';
import type { DesiredState } from '../../shared/session.ts';
import type { Database, Put, TransactResult, Write } from '../database.ts';
import { sha256Hex } from '../hash.ts';
import { quarantined, sameRow } from '../metering/usage-rows.ts';
import {
  type EpochItem,
  headKey,
  type SessionRecord,
  type SessionRef,
  type SessionStore,
  type StreamHead,
} from '../sessions/session-store.ts';
import { type BatchDecision, decideBatch } from './decide-batch.ts';
import { rowEventCount } from './fold-batch.ts';
import { keepAside } from './keep-aside.ts';
import { annexBatch } from './late-batch.ts';
import { type Commit, planCommit } from './plan-commit.ts';
import { quarantinePut } from './segments.ts';
import { storedDigest } from './stored-digest.ts';

export type Batch = Pick<
  FrameOf<RunnerFrame, 'runner_events'>,
  'sessionId' | 'epoch' | 'firstRseq' | 'events' | 'digest'
>;

export type IngestResult =
  | {
      readonly kind: 'ack';
      readonly ackedRseq: number;
      readonly headSeq: number;
      /** What people asked for last; absent while nobody did. */
      readonly desired?: { readonly desired: DesiredState; readonly rev: number };
      /** Objects that nothing names any more: to be deleted. */
      readonly obsoleteKeys?: readonly string[];
    }
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

const wishOf = ({ desired, desiredRev: rev }: StreamHead) => (rev > 0 ? { desired: { desired, rev } } : {});

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

const write = async (ports: IngestPorts, commit: Commit, digest: string): Promise<boolean> => {
  const result = await ports.db.transact(commit.writes);
  if (result.ok) return true;
  const onlyUsage = result.failed.every(({ index }) => commit.usageAt.has(index));
  return onlyUsage && (await ports.db.transact(withoutTakenKeys(commit, result.failed, digest).writes)).ok;
};

/** @returns `null` when the session was not (any more) as the commit was planned on */
const commitBatch = async (
  ports: IngestPorts,
  ref: SessionRef,
  planned: { readonly record: SessionRecord; readonly commit: Commit; readonly digest: string },
): Promise<IngestResult | null> => {
  const { record, commit, digest } = planned;
  /** Before its runner is known the rest of the record may move without the head. */
  const isSettled = record.head.assignedAtMs !== null;
  if (!(await write(ports, commit, digest))) {
    /** Who was faster in this very process has left a newer one. */
    if (ports.sessions.remembered(ref) === record) ports.sessions.remember(ref, null);
    return null;
  }
  ports.sessions.remember(ref, isSettled ? commit.after : null);
  const { ackedRseq, headSeq, obsoleteKeys } = commit;
  const obsolete = obsoleteKeys.length === 0 ? {} : { obsoleteKeys };
  return { kind: 'ack', ackedRseq, headSeq, ...wishOf(record.head), ...obsolete };
};

/** Evidence: when the epoch may keep no more of it, the answer to the runner is the same. */
const setAside = (ports: IngestPorts, ref: SessionRef, batch: Batch) =>
  keepAside(ports.db, ref, batch.epoch, quarantinePut(ref, { ...batch, committedAtMs: ports.clock.nowMs() }));

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

/** The stream that a batch is held against: the head's, or the last words of an epoch that has a successor. */
const streamOf = ({ head }: SessionRecord, closed: EpochItem | null): StreamHead =>
  closed === null
    ? head
    : {
        ...head,
        epoch: closed.epoch,
        open: false,
        ackedRseq: closed.ackedRseq ?? 0,
        seq: closed.seq ?? 0,
        recent: closed.recent ?? [],
      };

interface Settling {
  readonly record: SessionRecord;
  readonly stream: StreamHead;
  readonly batch: Batch;
  readonly decision: Exclude<BatchDecision, { action: 'commit' }>;
}

/** @returns `null` when another writer was faster: read again */
const settle = async (
  ports: IngestPorts,
  ref: SessionRef,
  { record, stream, batch, decision }: Settling,
): Promise<IngestResult | null> => {
  const { ackedRseq } = stream;
  const stored: IngestResult = { kind: 'ack', ackedRseq, headSeq: record.head.seq, ...wishOf(record.head) };
  const over = batch.epoch === record.head.epoch ? 'closed' : 'stale_epoch';
  switch (decision.action) {
    case 'heartbeat':
      await extendLease(ports, ref, batch.epoch);
      return stored;
    case 'duplicate':
      return stored;
    case 'gap':
      return { kind: 'nack', reason: 'gap', expected: decision.expected };
    case 'stale':
      return { kind: 'nack', reason: over, expected: batch.firstRseq };
    case 'annex': {
      const kept = await annexBatch(ports, ref, record, batch);
      if (kept === 'lost') return null;
      /** The runner is told that its epoch is over, and up to where it may forget: never beyond what is stored. */
      if (kept !== 'other_digest')
        return { kind: 'nack', reason: over, expected: batch.firstRseq + (kept === 'kept' ? batch.events.length : 0) };
      await setAside(ports, ref, batch);
      return { kind: 'nack', reason: 'other_digest', expected: batch.firstRseq };
    }
    case 'look_up': {
      const known = await storedDigest(ports.db, ref, stream, batch.firstRseq);
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
  await setAside(ports, ref, batch);
  return { kind: 'nack', reason: 'other_digest', expected: stream.ackedRseq + 1 };
};

const fits = (batch: Batch, ref: SessionRef): boolean =>
  envelopesFit(batch, ref) &&
  !isDeep(batch.events) &&
  rowEventCount(batch.events) <= BATCH_MAX_ROW_EVENTS &&
  sha256Hex(batchDigestInput(batch)) === batch.digest;

/**
 * The next batch upon the one that this process committed last, without a read: what the plan rests on is what the transaction is
 * conditional on (epoch, open, ackedRseq, seq, assignment), so a memory that is out of date writes nothing. Whatever is not a plain
 * commit is decided on what is read: no refusal ever rests on a memory, and no acknowledgement of what was stored before.
 * @returns `null` when it must be read
 */
const commitRemembered = async (ports: IngestPorts, ref: SessionRef, batch: Batch): Promise<IngestResult | null> => {
  const record = ports.sessions.remembered(ref);
  if (record === null || decideBatch(record.head, { ...batch, eventCount: batch.events.length }).action !== 'commit')
    return null;
  const commit = planCommit(ref, record, batch, ports.clock.nowMs());
  /** A closing sums up what others wrote beside the stream. */
  return commit.after === null ? null : commitBatch(ports, ref, { record, commit, digest: batch.digest });
};

/**
 * @param ref tenant and session as the capability names them, never as the frame does
 * @throws AppError `throttled` when the store stays busy: the runner resends
 */
export const ingestBatch = async (ports: IngestPorts, ref: SessionRef, batch: Batch): Promise<IngestResult | null> => {
  if (!fits(batch, ref)) return { kind: 'nack', reason: 'invalid', expected: batch.firstRseq };
  const quick = await commitRemembered(ports, ref, batch);
  if (quick !== null) return quick;
  for (let round = 0; round < ROUNDS; round += 1) {
    const record = await ports.sessions.record(ref);
    if (record === null) return null;
    const closed = batch.epoch < record.head.epoch ? await ports.sessions.epoch(ref, batch.epoch) : null;
    const stream = streamOf(record, closed);
    const decision = decideBatch(stream, { ...batch, eventCount: batch.events.length });
    if (decision.action !== 'commit') {
      const settled = await settle(ports, ref, { record, stream, batch, decision });
      if (settled !== null) return settled;
      continue;
    }
    const commit = planCommit(ref, record, batch, ports.clock.nowMs());
    const committed = await commitBatch(ports, ref, { record, commit, digest: batch.digest });
    if (committed !== null) return committed;
  }
  throw new Error(`batch ${batch.firstRseq} of ${ref.sessionId} lost ${ROUNDS} rounds against other writers`);
};
