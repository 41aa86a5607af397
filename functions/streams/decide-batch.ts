/** Pure: what to do with a batch, given the stream head. Order, exactly-once and fencing all follow from this one decision. */
import { HEAD_RECENT_BATCHES } from '../../shared/limits.ts';
import type { StreamHead } from '../sessions/session-store.ts';

export interface BatchFacts {
  readonly epoch: number;
  readonly firstRseq: number;
  readonly eventCount: number;
  readonly digest: string;
}

export type BatchDecision =
  | { readonly action: 'commit' }
  /** Nothing to write: an empty batch asks for grants or keeps the lease. */
  | { readonly action: 'heartbeat' }
  /** Answered with the stored ackedRseq. */
  | { readonly action: 'duplicate' }
  /** Too old for the head's memory: its digest stands in the segments. */
  | { readonly action: 'look_up' }
  | { readonly action: 'quarantine' }
  | { readonly action: 'gap'; readonly expected: number }
  | { readonly action: 'annex' }
  | { readonly action: 'stale' };

const decideStored = (head: StreamHead, batch: BatchFacts): BatchDecision => {
  const known = head.recent.find((recent) => recent.f === batch.firstRseq);
  if (known === undefined) return { action: 'look_up' };
  return batch.digest.startsWith(known.d) ? { action: 'duplicate' } : { action: 'quarantine' };
};

export const decideBatch = (head: StreamHead, batch: BatchFacts): BatchDecision => {
  if (batch.epoch > head.epoch) return { action: 'stale' };
  /** The last batch of an epoch closes it: sent again because its answer was lost, it is a duplicate like any other. */
  const isStored = batch.epoch === head.epoch && batch.eventCount > 0 && batch.firstRseq <= head.ackedRseq;
  if (isStored) return decideStored(head, batch);
  if (batch.epoch < head.epoch || !head.open) return batch.eventCount === 0 ? { action: 'stale' } : { action: 'annex' };
  if (batch.firstRseq > head.ackedRseq + 1) return { action: 'gap', expected: head.ackedRseq + 1 };
  if (batch.eventCount === 0) return { action: 'heartbeat' };
  return { action: 'commit' };
};

/** Of a digest: still out of reach of chance and search, and half as long in an item that every commit writes. */
const REMEMBERED_DIGEST_CHARS = 32;

/** The head's memory with one batch more. */
export const remember = (
  recent: StreamHead['recent'],
  batch: { f: number; l: number; d: string; s: number },
): StreamHead['recent'] =>
  [...recent, { ...batch, d: batch.d.slice(0, REMEMBERED_DIGEST_CHARS) }].slice(-HEAD_RECENT_BATCHES);
