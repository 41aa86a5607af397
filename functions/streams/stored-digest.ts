/** Which batch stands under an rseq that the head does not remember any more: looked up in the log without reading the log. */
import type { Database } from '../database.ts';
import { type SessionRef, type StreamHead, sessionPk } from '../sessions/session-store.ts';
import { Segment, segmentSk } from './segments.ts';

/** Segments read before the search is given up; only events of the control plane between the batch and the head cost more than one. */
export const DIGEST_LOOKUP_READS = 32;

export type StoredDigest =
  | { readonly kind: 'found'; readonly digest: string }
  /** No batch of the epoch began there. */
  | { readonly kind: 'none' }
  /** Given up. */
  | { readonly kind: 'unknown' };

/**
 * Digest of the batch of the head's epoch that began at `firstRseq` (`<= head.ackedRseq`). Both numbers rise by one with each event
 * of the runner and `seq` also with others, so a batch lies at least as many seq before a known one as it lies rseq before it.
 */
export const storedDigest = async (
  db: Database,
  ref: SessionRef,
  head: Pick<StreamHead, 'epoch' | 'ackedRseq' | 'seq' | 'recent'>,
  firstRseq: number,
): Promise<StoredDigest> => {
  const later = head.recent.find(({ f }) => f >= firstRseq) ?? { f: head.ackedRseq, s: head.seq };
  let highestSeq = later.s - (later.f - firstRseq);
  for (let read = 0; read < DIGEST_LOOKUP_READS; read += 1) {
    const page = await db.query({
      table: 'events',
      partition: sessionPk(ref),
      sort: { from: segmentSk(0), to: segmentSk(Math.max(0, highestSeq)) },
      limit: 1,
      descending: true,
    });
    if (page.items[0] === undefined) return { kind: 'none' };
    const segment = Segment.parse(page.items[0]);
    if (segment.epoch !== head.epoch) return { kind: 'none' };
    const isOfRunner = segment.firstRseq > 0;
    if (isOfRunner && segment.firstRseq === firstRseq) return { kind: 'found', digest: segment.digest };
    if (isOfRunner && segment.firstRseq < firstRseq) return { kind: 'none' };
    highestSeq = segment.firstSeq - (isOfRunner ? segment.firstRseq - firstRseq : 1);
  }
  return { kind: 'unknown' };
};
